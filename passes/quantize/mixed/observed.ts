import { cloneModel } from '../../../src/ir/clone.ts';
import { valuesByName } from '../../../src/ir/cut.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import type { Judge, JudgedBatch } from '../../../src/pass/judge.ts';
import type { Observed } from './alone.ts';

/** Inner values of all samples together take at most so much memory. */
const memoryBudget = 400e6;
/** Samples in one inference. */
const largestBatch = 8;

interface ObservedBatch {
  readonly size: number;
  readonly values: Observed;
}

export interface ObservedSamples {
  readonly batches: readonly ObservedBatch[];
  /** One sample alone, for timing. */
  readonly single: Observed;
  readonly samples: number;
  /** Samples in a batch, and how many have room in memory at once. */
  readonly perBatch: number;
  readonly fitting: number;
}

/**
 * Runs the float model once over as many samples as inner values fit into memory.
 * @param samples at most, by what one of them has made
 */
export async function observeAll(
  base: Model,
  needed: ReadonlySet<string>,
  judge: Judge,
  samples: (single: Observed) => number,
): Promise<ObservedSamples> {
  const [single = { size: 0, values: new Map<string, Tensor>() }] = await observe(
    base,
    needed,
    judge,
    await judge.some(1, 1),
  );
  const perSample = [...single.values.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const fitting = Math.max(1, Math.floor(memoryBudget / Math.max(1, perSample)));
  const count = Math.min(samples(single.values), fitting);
  const perBatch = Math.min(largestBatch, count);
  const batches = await observe(base, needed, judge, await judge.some(count, perBatch));
  const seen = batches.reduce((sum, { size }) => sum + size, 0);
  return { batches, single: single.values, samples: seen, perBatch, fitting };
}

/** Inner values of the float model on some batches. */
export async function observe(
  base: Model,
  needed: ReadonlySet<string>,
  judge: Judge,
  batches: readonly JudgedBatch[],
): Promise<ObservedBatch[]> {
  const copy = cloneModel(base);
  const values = valuesByName(copy.graph);
  const outputs = new Set(copy.graph.outputs.map(({ name }) => name));
  for (const name of needed) {
    const value = values.get(name);
    const isTensor = value?.type === undefined || value.type.kind === 'tensor';
    if (value?.producer && isTensor && !outputs.has(name)) copy.graph.addOutput(value);
  }
  const runner = await judge.open(copy);
  try {
    const seen: ObservedBatch[] = [];
    for (const { feeds, size } of batches) {
      const made = await runner.run(feeds);
      for (const [name, tensor] of feeds) if (needed.has(name)) made.set(name, tensor);
      seen.push({ size, values: made });
    }
    return seen;
  } finally {
    await runner.dispose();
  }
}

/** Batches of at most so many samples together, or one. */
export function groupsOf(batches: readonly JudgedBatch[], most: number): JudgedBatch[][] {
  const groups: JudgedBatch[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const batch of batches) {
    if (size + batch.size > most) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(batch);
    size += batch.size;
  }
  return groups;
}
