import type { Node, Value } from '../../src/ir/graph.ts';
import { miss } from '../../src/rewrite/match.ts';
import { op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';
import { boundsOf } from './bounds.ts';
import { mergedPads, type SpatialPadding, spatialPadding } from './padding.ts';

/**
 * AveragePool counts its padding with count_include_pad = 1 only, and MaxPool pads with −∞, which equals zeros only
 * behind something that is never negative.
 */
export const padPool: Rule = {
  id: 'pad-pool',
  summary: 'moves a Pad into the pads of the AveragePool or MaxPool behind it, where that is exact',
  ops: ['AveragePool', 'MaxPool'],
  pattern: op(['AveragePool', 'MaxPool'], [op('Pad', undefined, { as: 'pad' })]),
  apply(match, edit) {
    const pool = match.root;
    const pad = match.node('pad');
    const kernel = pool.ints('kernel_shape') ?? [];
    const padding = spatialPadding(pad, edit.opset, kernel.length);
    if (typeof padding === 'string') return miss(pool, padding);
    const pads = mergedPads(pool, padding);
    if (typeof pads === 'string') return miss(pool, pads);
    if (pads.some((amount, i) => amount >= (kernel[i % kernel.length] as number))) {
      return miss(
        pool,
        `pads [${pads.join(',')}] would not be smaller than the kernel [${kernel.join(',')}] of ${pool}`,
      );
    }
    if (pool.int('ceil_mode', 0) !== 0) return miss(pool, `${pool} rounds its output size up (ceil_mode)`);
    if (pool.ints('dilations')?.some((dilation) => dilation !== 1)) return miss(pool, `${pool} is dilated`);
    const why =
      pool.op === 'MaxPool'
        ? maxPoolDiffers(pool, pad, padding, edit.opset)
        : averageDiffers(pool, padding, edit.opset);
    if (why !== undefined) return miss(pool, why);
    const attrs = {
      pads,
      ...(pool.attr('auto_pad') && { auto_pad: 'NOTSET' }),
      ...(pool.op === 'AveragePool' && { count_include_pad: 1 }),
    };
    edit.replace(pool, edit.insertLike(pool, { inputs: [pad.input(0)], attrs }));
  },
};

function averageDiffers(pool: Node, padding: SpatialPadding, opset: number): string | undefined {
  if (opset < 7) return `${pool} is of opset ${opset}, without count_include_pad`;
  if (padding.value !== 0) return `the Pad pads with ${padding.value}, AveragePool with 0`;
  const ownPads = pool.ints('pads')?.some((amount) => amount !== 0) ?? false;
  if (ownPads && pool.int('count_include_pad', 0) === 0) {
    return `${pool} does not count its own padding (count_include_pad = 0), but counts that of the Pad`;
  }
  return undefined;
}

/** Largest magnitude of float32: what exporters write for −∞. */
const lowest = -3.4028234e38;

function maxPoolDiffers(pool: Node, pad: Node, padding: SpatialPadding, opset: number): string | undefined {
  if (pool.outputs.length > 1) return `${pool} also gives indices, which count the padding`;
  if (padding.value <= lowest) return undefined;
  const input = pad.input(0);
  if (padding.value <= 0 && input && isNonNegative(input, opset)) return undefined;
  return `MaxPool pads with −∞ and ${pad} with ${padding.value}: the same only where "${input?.name}" is never below that`;
}

const nonNegative = new Set(['Relu', 'Sigmoid', 'HardSigmoid', 'Softmax', 'Softplus', 'Exp', 'Abs']);

/** The value cannot be below zero, by the operator that makes it. */
function isNonNegative(value: Value, opset: number): boolean {
  const node = value.producer;
  if (!node || node.domain !== '') return false;
  if (nonNegative.has(node.op)) return true;
  const inner = node.input(0);
  if (node.op === 'MaxPool' && inner) return isNonNegative(inner, opset);
  if (node.op !== 'Clip') return false;
  const bounds = boundsOf(node, opset);
  return typeof bounds !== 'string' && bounds.low >= 0;
}
