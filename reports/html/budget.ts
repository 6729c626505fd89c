import { escapeText } from './escape.ts';

/**
 * Keeps the page small however large the model is: a report of a model with 100,000 nodes has as many reasons. What is
 * left out is counted on the page, and whole in report.json.
 */
export interface Budget {
  /** True, and the bytes are spent, when `text` with its markup, about so many bytes of it, still fits. */
  fits(text: string, markup?: number): boolean;
}

/** Bytes of markup around a name or a sentence in a list of reasons. */
const usualMarkup = 100;

export function createBudget(bytes: number): Budget {
  let left = bytes;
  return {
    fits(text, markup = usualMarkup) {
      const cost = Buffer.byteLength(escapeText(text)) + markup;
      if (cost > left) return false;
      left -= cost;
      return true;
    },
  };
}

/** Long text loses its middle: both ends of a node name tell more. */
export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const tail = Math.floor((length - 1) / 2);
  return `${text.slice(0, length - 1 - tail)}…${text.slice(text.length - tail)}`;
}
