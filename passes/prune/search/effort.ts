import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { readReader } from '../repair/reader.ts';
import { mostInputs } from '../repair/repair.ts';
import type { Parts } from './parts.ts';

/** Multiply-accumulates that a search may take, five minutes on two cores: ResNet-20, 8 trials and 4 fits, is 4.7e11 and takes 35 s. */
const mostEffort = 4e12;

/**
 * Opening the part of the model up to a layer that is fitted, for each node of the model: 38 µs, 0.13 s where there are 3,500 nodes (a detector of
 * torchvision, sixty such layers).
 */
const opening = 5e5;

/** What single trials and final fits take, in multiply-accumulates, by what dominates: sums of squares, factors of them, running the samples, and opening parts of large graphs. */
function effortOf({ coupling: { model } }: Parts, samples: number): { coarse: number; full: number } {
  const { total } = countMacs(model, inferShapes(model, { write: false }));
  let [coarse, full] = [2 * 64 * total, 2 * samples * total];
  const part = opening * model.graph.nodeCount;
  for (const node of model.graph.nodes) {
    const reader = readReader(node, false);
    if (typeof reader === 'string' || reader.k > mostInputs) continue;
    const { k, n, groups } = reader;
    const width = k + n / groups;
    coarse += part + groups * (Math.max(4096, 8 * k) * width ** 2 + 4 * k ** 3);
    full += part + groups * (Math.max(16384, 32 * k) * width ** 2 + 10 * k ** 3);
  }
  return { coarse, full };
}

/** With fewer fits than these there is no halving. */
const leastFits = 4;

/** How many of the trials and fits asked for there is time for, fits giving way first; fewer than two trials are no search. */
export function affordable(
  parts: Parts,
  samples: number,
  wanted: { readonly trials: number; readonly fits: number },
): { trials: number; fits: number } {
  const { coarse, full } = effortOf(parts, samples);
  const left = Math.floor((mostEffort - wanted.trials * coarse) / full);
  const fits = Math.min(wanted.fits, Math.max(leastFits, left));
  return { fits, trials: Math.min(wanted.trials, Math.floor((mostEffort - fits * full) / coarse)) };
}
