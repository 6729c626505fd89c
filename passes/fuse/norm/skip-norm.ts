import { float } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import { equalShapes } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { onlyReader } from '../../../src/rewrite/cluster.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import { any, maybe, op } from '../../../src/rewrite/pattern.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

/**
 * Norm(a + b) is one node, which gives the sum too where that goes on as the residual. A bias of a (a matrix product's, say)
 * goes in as well.
 */
export function skipNorm(target: FusionTarget): Rule {
  return {
    id: 'skip-norm',
    summary: 'Add before a layer or root mean square norm, with a bias, goes into SkipLayerNormalization',
    ops: ['LayerNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization'],
    pattern: op(
      ['LayerNormalization', 'RMSNormalization', 'SimplifiedLayerNormalization'],
      [op('Add', [any('a'), any('b')], { as: 'add' }), any('gamma'), maybe(any('beta'))],
      { as: 'norm' },
    ),
    check: (match, site) => isSkipNorm(match, site, target),
    apply(match, edit) {
      replace(match, edit);
      return undefined;
    },
  };
}

const operatorFor = (norm: Node): string =>
  norm.is('LayerNormalization') ? 'SkipLayerNormalization' : 'SkipSimplifiedLayerNormalization';

function isSkipNorm(match: Match, { types }: Site, target: FusionTarget): true | Miss {
  const norm = match.node('norm');
  const no = (why: string, near = true): Miss => miss(norm, why, near);
  const offer = target.offers(operatorFor(norm), types.dtypeOf(norm.output()));
  if (offer !== true) return no(offer, false);
  if (norm.outputs.slice(1).some((output) => output?.isUsed)) return no('its mean or deviation is used too');
  if (norm.int('stash_type', 1) !== 1) return no('it computes in another type than float32');
  const [a, b] = [types.shapeOf(match.value('a')), types.shapeOf(match.value('b'))];
  if (!a || !b) return no(`the shape of "${(a ? match.value('b') : match.value('a')).name}" is not known`);
  if (!equalShapes(a, b))
    return no(`"${match.value('a').name}" and "${match.value('b').name}" are not of the same shape`, false);
  if (a.length !== 2 && a.length !== 3) return no(`"${match.value('a').name}" is of rank ${a.length}, not 2 or 3`);
  const axis = norm.int('axis', -1);
  if (axis !== -1 && axis !== a.length - 1) return no('it normalizes over more than the last axis');
  for (const name of ['gamma', 'beta']) {
    const value = match.maybeValue(name);
    if (!value) continue;
    if (types.shapeOf(value)?.length !== 1) return no(`"${value.name}" is not a vector`);
    // The new node stands where the Add stood: what it reads must be known by then.
    if (!constantOf(value) && !value.isGraphInput) return no(`"${value.name}" is not constant`);
  }
  return true;
}

/** x + c where c is a constant vector as long as the last axis, and nobody else reads the sum. */
function biasOf(value: Value, other: Value, { types }: Site): { x: Value; bias: Value } | undefined {
  const add = value.producer;
  if (!add?.is('Add') || add.graph !== other.graph || onlyReader(value) === undefined) return undefined;
  for (const [at, bias] of add.inputs.entries()) {
    const x = add.input(1 - at);
    const shape = types.shapeOf(bias);
    if (!x || !bias || !constantOf(bias) || shape?.length !== 1 || shape[0] !== types.shapeOf(value)?.at(-1)) continue;
    if (equalShapes(types.shapeOf(x), types.shapeOf(value))) return { x, bias };
  }
  return undefined;
}

function replace(match: Match, edit: Edit): void {
  const [norm, add] = [match.node('norm'), match.node('add')];
  let [a, b] = [match.value('a'), match.value('b')];
  let found = biasOf(a, b, edit);
  if (!found) {
    found = biasOf(b, a, edit);
    if (found) [a, b] = [b, a];
  }
  const sum = add.output();
  const keepsSum = sum.isGraphOutput || [...sum.readers].some((reader) => reader !== norm);
  const isLayer = norm.is('LayerNormalization');
  edit.importDomain('com.microsoft');
  const fused = edit.insert(
    operatorFor(norm),
    {
      domain: 'com.microsoft',
      inputs: [found?.x ?? a, b, match.value('gamma'), ...(isLayer ? [match.maybeValue('beta')] : []), found?.bias],
      outputs: keepsSum ? ['', undefined, undefined, ''] : 1,
      attrs: { epsilon: float(norm.float('epsilon', Math.fround(1e-5))) },
    },
    add,
  );
  fused.name = norm.name;
  if (keepsSum) edit.replaceValue(sum, fused.output(3));
  edit.replace(norm, fused);
  if (!add.removed) edit.removeUnused(add);
}
