import { int } from '../../../src/ir/attr.ts';
import { equalDims, equalShapes } from '../../../src/ir/dim.ts';
import type { Value } from '../../../src/ir/graph.ts';
import type { Shape } from '../../../src/ir/types.ts';
import { type Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import { any, op } from '../../../src/rewrite/pattern.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

/** Softmax of scores and a mask is one kernel on CUDA, for scores whose attention was not recognized. */
export function biasSoftmax(target: FusionTarget): Rule {
  return {
    id: 'bias-softmax',
    summary:
      'Softmax over the last axis of scores and a mask (or bias) is BiasSoftmax, where the provider has a kernel for it',
    ops: ['Softmax'],
    pattern: op('Softmax', [op('Add', [any('a'), any('b')], { as: 'add', once: true })], { as: 'softmax' }),
    quiet: true,
    check(match, site) {
      const softmax = match.node('softmax');
      const offer = target.offers('BiasSoftmax', site.types.dtypeOf(softmax.output()));
      if (offer !== true) return miss(softmax, offer, false);
      const found = plan(match, site);
      return 'why' in found ? found : true;
    },
    apply(match, edit) {
      const softmax = match.node('softmax');
      const found = plan(match, edit);
      if ('why' in found) return found;
      edit.importDomain('com.microsoft');
      const fused = edit.insert('BiasSoftmax', {
        domain: 'com.microsoft',
        inputs: [found.scores, found.bias],
        attrs: { axis: int(found.rank - 1), is_inner_broadcast: int(found.inner ? 1 : 0) },
      });
      fused.name = softmax.name;
      edit.replace(softmax, fused);
      return undefined;
    },
  };
}

interface Plan {
  readonly scores: Value;
  readonly bias: Value;
  readonly rank: number;
  readonly inner: boolean;
}

function plan(match: Match, { types, opset }: Pick<Site, 'types' | 'opset'>): Plan | Miss {
  const softmax = match.node('softmax');
  const [a, b] = [match.value('a'), match.value('b')];
  const [left, right] = [types.shapeOf(a), types.shapeOf(b)];
  if (!left || !right) return miss(softmax, `the shape of "${(left ? b : a).name}" is not known`);
  const rank = Math.max(left.length, right.length);
  const axis = softmax.int('axis', opset >= 13 ? -1 : 1);
  if (axis !== -1 && axis !== rank - 1) return miss(softmax, 'it is not over the last axis');
  const sum = types.shapeOf(match.node('add').output());
  for (const [scores, bias, shape, other] of [
    [a, b, left, right],
    [b, a, right, left],
  ] as const) {
    if (shape.length !== rank || !equalShapes(shape, sum)) continue;
    const inner = repeats(shape, other);
    if (inner !== undefined) return { scores, bias, rank, inner };
  }
  return miss(
    softmax,
    `"${b.name}" does not repeat along "${a.name}" in one block of axes: the kernel divides the rows, or takes the rest`,
  );
}

/**
 * How the rows of `bias` repeat over those of `scores`, as the kernel has it: each for a run of rows (`true`: ones right in front of the last axis), or all of them over and over
 * (`false`: ones, or nothing, at the beginning). Undefined for anything else.
 */
function repeats(scores: Shape, bias: Shape): boolean | undefined {
  const last = scores.length - 1;
  const padded = [...Array.from({ length: scores.length - bias.length }, () => 1), ...bias];
  const same = scores.map((dim, at) => equalDims(dim, padded[at] ?? 1));
  if (same[last] !== true) return undefined;
  const first = same.indexOf(false);
  if (first === -1) return bias.length === scores.length ? true : undefined;
  if (bias.length === scores.length && padded.slice(first, last).every((dim) => dim === 1)) return true;
  return padded.slice(0, same.lastIndexOf(false) + 1).every((dim) => dim === 1) ? false : undefined;
}
