import { dropBelow, groupCount, magnitudeCut } from '../../src/kernels/mask.ts';
import type { Cut, Pattern } from './pattern.ts';
import type { PruneTarget } from './targets.ts';
import { weightsOf } from './weights.ts';

/** However small its weights are beside those of others, a layer keeps this share of them: without any it hands nothing on. */
const leastKept = 0.01;

/** @returns how many weights each target loses: round(sparsity · elements) of each. */
export function perLayer(targets: readonly PruneTarget[], sparsity: number): Map<PruneTarget, number> {
  return new Map(targets.map((target) => [target, Math.round(sparsity * target.elements)]));
}

/**
 * The smallest magnitudes of the whole model, as many as make up the share.
 * @param onCapped hears of targets that would lose next to all, which the others make up for
 */
export function wholeModel(
  targets: readonly PruneTarget[],
  sparsity: number,
  onCapped: (target: PruneTarget) => void,
): Map<PruneTarget, number> {
  const counts = new Map<PruneTarget, number>();
  const goal = Math.round(sparsity * totalOf(targets));
  for (let open = [...targets]; open.length > 0; ) {
    const fixed = [...counts.values()].reduce((a, b) => a + b, 0);
    const sources = open.map((target) => () => weightsOf(target));
    let cut = magnitudeCut(sources, Math.min(Math.max(0, goal - fixed), totalOf(open)));
    const found = open.map((target) => {
      const { data, ties } = dropBelow(weightsOf(target), cut);
      cut = { ...cut, ties };
      let count = 0;
      for (const w of data) if (w === 0) count++;
      return { target, count };
    });
    const capped = found.filter(({ target, count }) => count > mostOf(target));
    for (const { target, count } of capped.length > 0 ? capped : found) {
      counts.set(target, Math.min(count, mostOf(target)));
      if (capped.length > 0) onCapped(target);
    }
    if (capped.length === 0) break;
    open = open.filter((target) => !counts.has(target));
  }
  return counts;
}

/**
 * Erdős–Rényi–Kernel (Evci et al. 2020): a layer keeps a share of its weights in proportion to the sum of its extents over their
 * product, so that large layers lose more than small ones.
 */
export function erdosRenyi(targets: readonly PruneTarget[], sparsity: number): Map<PruneTarget, number> {
  const raw = new Map(
    targets.map((target) => {
      const { shape } = target.tensor;
      return [target, shape.reduce((a, b) => a + b, 0) / shape.reduce((a, b) => a * b, 1)];
    }),
  );
  const dense = new Set<PruneTarget>();
  const keep = totalOf(targets) - Math.round(sparsity * totalOf(targets));
  let factor = 0;
  // Layers that would keep more than they have keep all of it, and the others share what is left.
  for (let again = true; again; ) {
    again = false;
    const open = targets.filter((target) => !dense.has(target));
    const weight = open.reduce((sum, target) => sum + (raw.get(target) ?? 0) * target.elements, 0);
    factor = weight > 0 ? (keep - totalOf([...dense])) / weight : 0;
    for (const target of open) {
      if (factor * (raw.get(target) ?? 0) <= 1) continue;
      dense.add(target);
      again = true;
    }
  }
  const shares = new Map(
    targets.map((target) => [target, dense.has(target) ? 0 : 1 - Math.max(0, factor * (raw.get(target) ?? 0))]),
  );
  return rounded(targets, shares, sparsity);
}

/** Counts by shares of each target, rounded so that their sum is that of the whole model. */
export function rounded(
  targets: readonly PruneTarget[],
  shares: ReadonlyMap<PruneTarget, number>,
  sparsity: number,
): Map<PruneTarget, number> {
  const goal = Math.round(sparsity * totalOf(targets));
  const exact = targets.map((target) => (shares.get(target) ?? 0) * target.elements);
  const sum = exact.reduce((a, b) => a + b, 0);
  const counts = new Map<PruneTarget, number>();
  let [seen, given] = [0, 0];
  for (const [at, target] of targets.entries()) {
    seen += exact[at] as number;
    const count = sum > 0 ? Math.round((goal * seen) / sum) - given : 0;
    counts.set(target, Math.min(count, target.elements));
    given += count;
  }
  return counts;
}

/** What goes from a target of which `count` weights are to go. */
export function cutFor(target: PruneTarget, count: number, pattern: Pattern): Cut {
  if (pattern.kind === 'n-of-m') return pattern;
  if (pattern.kind === 'share') return { kind: 'share', drop: count };
  const groups = groupCount(target.view, pattern.size);
  const drop = Math.max(0, Math.min(groups - 1, Math.round((count / target.elements) * groups)));
  return { kind: 'groups', size: pattern.size, drop };
}

const totalOf = (targets: readonly PruneTarget[]): number => targets.reduce((sum, { elements }) => sum + elements, 0);

const mostOf = ({ elements }: PruneTarget): number => Math.min(elements - 1, Math.floor((1 - leastKept) * elements));
