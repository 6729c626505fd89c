import type { Evaluation } from '../engine/evaluate.ts';
import { isRightOrWrong } from './optimize/scored.ts';

export interface ClassValue {
  readonly name: string;
  readonly samples: number;
  /** Share of the class that is right, or the metric's own figure of the class. */
  readonly value: number;
}

/** The metric by class, weakest first; empty where samples have no classes. */
export function classValues(result: Evaluation): ClassValue[] {
  const { classes, labels, labelNames, scores } = result;
  const named = (id: number): string => labelNames?.[id] ?? String(id);
  const rows: ClassValue[] = [];
  if (classes) {
    const values = classes.values();
    for (const [at, id] of classes.ids.entries())
      if ((classes.counts[at] ?? 0) > 0)
        rows.push({ name: named(id), samples: classes.counts[at] ?? 0, value: values[at] ?? Number.NaN });
  } else if (labels && isRightOrWrong(result)) {
    const sums = new Map<number, { samples: number; right: number }>();
    for (const [at, label] of labels.entries()) {
      const sum = sums.get(label) ?? { samples: 0, right: 0 };
      sums.set(label, { samples: sum.samples + 1, right: sum.right + (scores[at] ?? 0) });
    }
    for (const [id, { samples, right }] of sums) rows.push({ name: named(id), samples, value: right / samples });
  }
  return rows.sort((a, b) => a.value - b.value || a.name.localeCompare(b.name));
}
