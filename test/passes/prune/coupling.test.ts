import { expect, it } from 'vitest';
import { analyzeCoupling, type Coupling } from '../../../passes/prune/coupling/analyze.ts';
import { removeUnits } from '../../../passes/prune/coupling/apply.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { verify } from '../../../src/ir/verify.ts';
import { reordered } from '../../../src/pass/pass.ts';
import { calmFillings, edgeFeeds, random, violations } from '../../support/differential.ts';
import { kept, keptAxes, mask, valuesOf } from '../../support/masked.ts';
import { prunableGraph } from '../../support/prunable-graph.ts';

/** Some units of each group, never all of them. */
function someUnits(coupling: Coupling, seed: number): Set<number> {
  const next = random(seed + 1);
  const removed = new Set<number>();
  for (const { units } of coupling.groups) {
    const count = Math.floor(next() * units.length);
    const shuffled = [...units].sort((a, b) => a - b).filter(() => next() < 0.6);
    for (const unit of shuffled.slice(0, Math.min(count, units.length - 1))) removed.add(unit);
  }
  return removed;
}

async function check(seed: number): Promise<number> {
  const original = prunableGraph(seed);
  expect(verify(original), 'the made-up graph').toEqual([]);
  const pruned = cloneModel(original);
  const masked = cloneModel(original);
  const coupling = analyzeCoupling(pruned);
  const removed = someUnits(coupling, seed);
  const axes = keptAxes(coupling, removed);
  removeUnits(coupling, removed);
  expect(verify(pruned), 'the pruned graph').toEqual([]);
  mask(analyzeCoupling(masked), removed);
  const names = [...axes.keys()].filter((name) => name !== 'y');
  for (const feeds of edgeFeeds(original, seed, { batch: 3, seq: 5 }, {}, calmFillings)) {
    const before = await valuesOf(masked, names, feeds);
    const after = await valuesOf(pruned, names, feeds);
    const expected = new Map(
      [...before].flatMap(([name, tensor]) =>
        tensor.dtype === 'float32' ? [[name, kept(tensor, axes.get(name) ?? [])] as const] : [],
      ),
    );
    expect(violations(expected, after, reordered()), `seed ${seed}`).toEqual([]);
  }
  return removed.size;
}

for (let block = 0; block < 10; block++) {
  it(`what is removed and what is masked compute the same, graphs ${20 * block} to ${20 * block + 19}`, async () => {
    let units = 0;
    for (let seed = 20 * block; seed < 20 * block + 20; seed++) units += await check(seed);
    expect(units).toBeGreaterThan(20);
  });
}
