import type { Value } from '../../../src/ir/graph.ts';
import type { Histogram } from '../../../src/kernels/histogram.ts';
import type { Affine } from '../../../src/kernels/quantize.ts';
import type { ActivationType } from './given.ts';
import type { Plan } from './plan.ts';
import type { Unit } from './unit.ts';

/** Values that calibration did not see may be so much larger than the largest it saw. */
const headroom = 1.25;

/** Axes of the input channels of weighted units; a value read in two ways has none. */
export function channelAxes(plans: readonly Plan[]): Map<string, number> {
  const axes = new Map<string, number>();
  const torn = new Set<string>();
  for (const plan of plans) {
    for (const { node, kind } of plan.units.values()) {
      const name = node.input(0)?.name;
      if (kind !== 'weighted' || name === undefined) continue;
      const axis = node.op === 'Conv' ? 1 : node.int('transA', 0) === 0 ? -1 : 0;
      if (axes.has(name) && axes.get(name) !== axis) torn.add(name);
      axes.set(name, axis);
    }
  }
  for (const name of torn) axes.delete(name);
  return axes;
}

/**
 * The highest u8 code that each input channel of a unit takes, by what calibration saw and a quarter more; one code for all where nothing
 * is known. (ONNX Runtime turns s8 activations into u8 on x64, by adding 128.)
 */
export function largestCodes(
  unit: Unit,
  params: ReadonlyMap<Value, Affine>,
  histograms: ReadonlyMap<string, Histogram>,
  type: ActivationType,
): ArrayLike<number> {
  if (type.endsWith('16')) return [255];
  const value = unit.node.input(0);
  const affine = value && params.get(value);
  const channels = value && histograms.get(value.name)?.channels;
  const wanted =
    unit.node.op === 'Conv' ? (unit.weighted?.tensor.shape[1] ?? 0) * unit.node.int('group', 1) : unit.weighted?.k;
  // All readers of one weight must come to the same scales, or it would be stored more than once.
  if (unit.weighted?.isShared) return [255];
  if (!affine || !channels || channels.high.length !== wanted) return [255];
  const zero = affine.zeroPoint + (type === 'int8' ? 128 : 0);
  return Uint8Array.from(channels.high, (high) =>
    Math.max(0, Math.min(255, zero + Math.ceil((Math.max(0, high) * headroom) / affine.scale))),
  );
}
