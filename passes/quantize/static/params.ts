import { bug } from '../../../src/errors.ts';
import type { Value } from '../../../src/ir/graph.ts';
import { type Calibrator, chooseRange, hasMaskGap, type RealRange } from '../../../src/kernels/calibrate.ts';
import type { Histogram } from '../../../src/kernels/histogram.ts';
import { type Affine, affineParams, intRanges } from '../../../src/kernels/quantize.ts';
import type { ActivationType } from './given.ts';
import { isHandedOut } from './handed-out.ts';
import type { Plan } from './plan.ts';

export interface ActivationOptions {
  readonly type: ActivationType;
  /** Zero points in the middle of the codes, also behind a Relu. */
  readonly symmetric: boolean;
  readonly method: Calibrator;
  readonly percentile: number;
}

/** Methods that cut values off by a measure of their own. (With `percentile` the share is the user's.) */
const fitted: ReadonlySet<Calibrator> = new Set(['mse', 'entropy']);

/** Below this a scale would be no normal float32. */
const smallestRange = 1e-30;

/** Why a value cannot be given a scale; undefined when it can. */
export function rangeProblem(value: Value, histogram: Histogram | undefined): string | undefined {
  if (!histogram || histogram.count + histogram.nan + histogram.inf === 0)
    return `"${value.name}" had no elements on the calibration samples: is it in a branch that none of them takes?`;
  if (histogram.nan > 0) return `"${value.name}" was NaN ${times(histogram.nan)} on the calibration samples`;
  if (histogram.inf > 0) return `"${value.name}" was infinite ${times(histogram.inf)} on the calibration samples`;
  if (histogram.absMax < smallestRange)
    return `"${value.name}" was ${histogram.absMax === 0 ? '0' : `${histogram.absMax.toPrecision(2)} at most`} on all calibration samples, so that no scale can be chosen`;
  if (hasMaskGap(histogram)) {
    const mask = histogram.max > -histogram.min ? histogram.max : histogram.min;
    return `"${value.name}" mixes values as large as those of a mask (${mask.toPrecision(3)}) with live ones; one scale for both would round the live ones away`;
  }
  return undefined;
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

/** What a value was like on the samples: a Flatten that this pass added has no values of its own. */
export function histogramOf(value: Value, histograms: ReadonlyMap<string, Histogram>): Histogram | undefined {
  const own = histograms.get(value.name);
  const before = value.producer?.is('Flatten') ? value.producer.input(0) : undefined;
  return own ?? (before && histograms.get(before.name));
}

/**
 * Scale and zero point of every quantized value of a settled plan.
 * @param outer those of values of other graphs, which this one may read
 */
export function chooseParams(
  plan: Plan,
  histograms: ReadonlyMap<string, Histogram>,
  options: ActivationOptions,
  outer: ReadonlyMap<Value, Affine> = new Map(),
): Map<Value, Affine> {
  const params = new Map<Value, Affine>();
  const of = (value: Value): Affine => {
    const known = params.get(value);
    if (known) return known;
    const made = make(value);
    params.set(value, made);
    return made;
  };
  const { symmetric } = options;
  const range = symmetric ? intRanges[options.type].symmetric : intRanges[options.type].asymmetric;
  const make = (value: Value): Affine => {
    const given = plan.given.get(value) ?? outer.get(value);
    if (given) return given;
    const unit = plan.ownerOf(value);
    const source = unit?.kind === 'mover' ? unit.node.input(0) : undefined;
    if (source) return of(source);
    if (unit?.fixed === 'softmax' && !symmetric)
      return { scale: 1 / (range.max - range.min + 1), zeroPoint: range.min };
    const joined = joinedInto(value, plan);
    const whole = joined && of(joined);
    if (whole && keepsBounds(unit?.bounds, whole, range)) return whole;
    const histogram = histogramOf(value, histograms) ?? bug(`no histogram of "${value.name}"`);
    const grid = { range, symmetric };
    const method = fitted.has(options.method) && isHandedOut(value) ? 'minmax' : options.method;
    const { low, high } = chooseRange(histogram, method, grid, options);
    const affine = affineParams(low, high, range, symmetric);
    return symmetric ? affine : within(affine, unit?.bounds, range);
  };
  for (const value of plan.quantized) of(value);
  return params;
}

/**
 * What a value becomes a part of, where a Concat on integers alone reads it. With the scale of the whole it is rounded once instead of twice, and its codes are copied: QLinearConcat takes
 * 6.8 µs for twice 48 × 22 × 22, 11.8 where one of both has another scale (24 × 44 × 44: 7.7 and 17.7).
 */
function joinedInto(value: Value, plan: Plan): Value | undefined {
  if (value.isGraphOutput || value.useCount !== 1) return undefined;
  const [use] = value.uses;
  const reader = use && plan.units.get(use.node);
  return reader?.node.is('Concat') && reader.inputs.includes(use?.index ?? -1) ? reader.outputs[0] : undefined;
}

/** Whether codes of this scale stop where the Relu or Clip of a unit does, so that the runtime may drop it. */
function keepsBounds(bounds: RealRange | undefined, { zeroPoint }: Affine, range: { min: number }): boolean {
  return (
    bounds === undefined || (bounds.low === 0 && bounds.high === Number.POSITIVE_INFINITY && zeroPoint === range.min)
  );
}

/**
 * Shrinks the scale until no code stands for a value that the Relu or Clip would have cut: only then may ONNX Runtime drop
 * that node (with a zero point rounded up, or a scale rounded up, the range would reach past the bound by a hair).
 */
function within(affine: Affine, bounds: RealRange | undefined, range: { min: number; max: number }): Affine {
  if (!bounds) return affine;
  const { zeroPoint } = affine;
  // A lower bound of 0 asks for nothing below the zero point at all.
  const zero = bounds.low === 0 ? range.min : zeroPoint;
  let { scale } = affine;
  const above = range.max - zero;
  const below = zero - range.min;
  if (above > 0 && Number.isFinite(bounds.high)) scale = Math.min(scale, bounds.high / above);
  if (below > 0 && Number.isFinite(bounds.low)) scale = Math.min(scale, bounds.low / -below);
  scale = Math.fround(scale);
  const fits = (): boolean =>
    Math.fround(scale * above) <= bounds.high && (below === 0 || Math.fround(scale * -below) >= bounds.low);
  for (let step = 0; step < 4 && !fits(); step++) scale = Math.fround(scale * (1 - 2 ** -23));
  return { scale, zeroPoint: zero };
}
