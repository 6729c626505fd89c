import type { Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { readReader } from '../repair/reader.ts';
import { mostInputs } from '../repair/repair.ts';

/** Multiply-accumulates that a search may take, five minutes on two cores: ResNet-20 on 160 samples, 8 trials and 4 fits, is 4.2e11 and takes 44 s, the verdicts on 500 included. */
const mostEffort = 4e12;

/**
 * Opening the part of the model up to a layer that is fitted, for each node of the model: 38 µs, 0.13 s where there are 3,500 nodes (a detector of
 * torchvision, sixty such layers).
 */
const opening = 5e5;

/** What the order of channels, single trials and final fits take, in multiply-accumulates, by what dominates: sums of squares, factors of them, running the samples, and opening parts of large graphs. */
function effortOf(
  model: Model,
  samples: number,
  bindings: ReadonlyMap<string, number>,
): { order: number; coarse: number; full: number } {
  const inferred = inferShapes(model, { write: false });
  const { total, byNode } = countMacs(model, inferred, { bindings });
  let [order, coarse, full] = [2 * samples * total, 2 * Math.min(64, samples) * total, 2 * samples * total];
  const part = opening * model.graph.nodeCount;
  for (const node of model.graph.nodes) {
    const reader = readReader(node, false);
    if (typeof reader === 'string' || reader.k > mostInputs) continue;
    const { k, n, groups } = reader;
    const width = k + n / groups;
    // Rows are drawn without repeating any: no more than the samples have.
    const rows = (wanted: number): number =>
      Math.min(wanted, (samples * (byNode.get(node) ?? Number.POSITIVE_INFINITY)) / (k * n));
    if (groups === 1) order += part + rows(Math.max(4096, 8 * k)) * k ** 2 + k ** 3;
    coarse += part + groups * (rows(Math.max(4096, 8 * k)) * width ** 2 + 2 * k ** 3);
    full += part + groups * (rows(Math.max(16384, 32 * k)) * width ** 2 + 5 * k ** 3);
  }
  return { order, coarse, full };
}

/** With fewer fits than these there is no halving. */
const leastFits = 4;

/**
 * How many of the trials and fits asked for there is time for, fits giving way first; fewer than two trials are no search.
 * @param extents what names of dimensions stand for in a sample
 */
export function affordable(
  model: Model,
  samples: number,
  wanted: { readonly trials: number; readonly fits: number },
  extents: ReadonlyMap<string, number>,
): { trials: number; fits: number } {
  const { order, coarse, full } = effortOf(model, samples, extents);
  const left = mostEffort - order;
  const fits = Math.min(wanted.fits, Math.max(leastFits, Math.floor((left - wanted.trials * coarse) / full)));
  return { fits, trials: Math.min(wanted.trials, Math.floor((left - fits * full) / coarse)) };
}
