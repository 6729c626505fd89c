/**
 * Keeps the page small however large the model is: a report of a model with 100,000 nodes has as many reasons. What is
 * left out is counted on the page, and whole in report.json.
 */
export interface Budget {
  /** As many of the items as may still be shown, at most `most`. */
  take<T>(items: readonly T[], most: number): readonly T[];
}

export function createBudget(items: number): Budget {
  let left = items;
  return {
    take(list, most) {
      const taken = list.slice(0, Math.max(0, Math.min(most, left)));
      left -= taken.length;
      return taken;
    },
  };
}

/** Long text loses its middle: both ends of a node name tell more. */
export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const tail = Math.floor((length - 1) / 2);
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`;
}
