import type { Node } from '../../../src/ir/graph.ts';
import { coordinate, nearestIndex, type ResizeRule, resizeRules } from '../../../src/ir/resize-rule.ts';
import type { Converter, Handler } from '../converter.ts';
import type { Ref } from '../graph.ts';

export const resize: Handler = (node, c) => {
  const x = c.in(node, 0);
  const out = c.shape(node.output());
  const mode = node.string('mode') ?? 'nearest';
  const rules = rulesOf(node, c, x, out);
  if (node.int('antialias', 0) !== 0) c.fail(node, 'antialias has no counterpart');
  if (node.string('coordinate_transformation_mode') === 'tf_crop_and_resize')
    c.fail(node, 'tf_crop_and_resize has no counterpart');
  if (mode === 'nearest') return c.put(node.output(), nearest(c, x, rules));
  const sampling = mode === 'linear' ? samplingMode(x, rules) : undefined;
  if (sampling) {
    const [height, width] = [out.at(-2) ?? 1, out.at(-1) ?? 1];
    return c.emit(node, 'resize_bilinear', {
      x,
      target_size_height: c.int(height),
      target_size_width: c.int(width),
      sampling_mode: c.text(sampling),
    });
  }
  if (mode !== 'linear' && mode !== 'cubic') c.fail(node, `mode ${mode} has no counterpart`);
  const taps = (rule: ResizeRule) => (mode === 'linear' ? linearTaps(rule) : cubicTaps(rule, node));
  let result = x;
  for (const [axis, rule] of rules.entries())
    if (rule.from !== rule.to) result = weighted(c, node, result, axis, taps(rule));
  c.put(node.output(), result);
};

function rulesOf(node: Node, c: Converter, x: Ref, out: readonly number[]): ResizeRule[] {
  const { opset } = c.model;
  const table = c.has(node, 3) ? undefined : c.constant(node.input(node.op === 'Upsample' || opset < 11 ? 1 : 2));
  return resizeRules(node, x.shape, out, { scales: table && [...table.values], opset });
}

/** Whole factors of the last two axes are an operator; anything else picks rows by index, which is exact for every rule. */
function nearest(c: Converter, x: Ref, rules: readonly ResizeRule[]): Ref {
  const chosen = rules.map((rule) => Array.from({ length: rule.to }, (_, at) => nearestIndex(at, rule)));
  const factors = rules.map(({ from, to }) => to / from);
  const whole =
    x.shape.length >= 3 &&
    x.type !== 'int32' &&
    factors.every(
      (factor, axis) =>
        Number.isInteger(factor) &&
        (axis >= x.shape.length - 2 || factor === 1) &&
        chosen[axis]?.every((at, i) => at === Math.floor(i / factor)),
    );
  if (whole) {
    const [height, width] = [factors.at(-2) ?? 1, factors.at(-1) ?? 1];
    const inputs = { x, scale_factor_height: c.int(height), scale_factor_width: c.int(width) };
    return c.op('upsample_nearest_neighbor', inputs, { name: x.name, shape: rules.map(({ to }) => to), type: x.type });
  }
  return chosen.reduce(
    (result, rows, axis) =>
      rows.length === x.shape[axis] && rows.every((at, i) => at === i) ? result : c.choose(result, axis, rows),
    x,
  );
}

/** How Core ML's bilinear operator names these rules, where it has them: the last two axes, whole extents. */
function samplingMode(x: Ref, rules: readonly ResizeRule[]): string | undefined {
  const [mode] = rules.map((rule) => rule.mode);
  if (x.shape.length < 3 || rules.slice(0, -2).some(({ from, to }) => from !== to)) return undefined;
  if (mode === 'align_corners')
    return rules.every(({ to }) => to > 1) || rules.every(({ from, to }) => to > 1 || from === 1)
      ? 'STRICT_ALIGN_CORNERS'
      : undefined;
  if (rules.some(({ scale, from, to }) => Math.abs(to - scale * from) > 1e-3)) return undefined;
  if (mode === 'asymmetric') return rules.every(({ from, to }) => to > 1 || from === 1) ? 'DEFAULT' : undefined;
  const half =
    mode === 'half_pixel' || (mode === 'pytorch_half_pixel' && rules.every(({ from, to }) => to > 1 || from === 1));
  return half ? 'UNALIGN_CORNERS' : undefined;
}

/** [input element, weight] of each output element of an axis. */
type Taps = readonly (readonly (readonly [number, number])[])[];

function linearTaps(rule: ResizeRule): Taps {
  return Array.from({ length: rule.to }, (_, i) => {
    const at = Math.min(Math.max(coordinate(i, rule), 0), rule.from - 1);
    const low = Math.floor(at);
    return [
      [low, 1 - (at - low)],
      [Math.min(low + 1, rule.from - 1), at - low],
    ];
  });
}

/** Keys' cubic convolution, as ONNX defines it; elements outside are those at the edge, or left out. */
function cubicTaps(rule: ResizeRule, node: Node): Taps {
  const a = node.float('cubic_coeff_a', -0.75);
  const outside = node.int('exclude_outside', 0) !== 0;
  const weight = (distance: number): number => {
    const d = Math.abs(distance);
    if (d <= 1) return (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
    return d < 2 ? a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a : 0;
  };
  return Array.from({ length: rule.to }, (_, i) => {
    const at = coordinate(i, rule);
    const low = Math.floor(at);
    const taps = [-1, 0, 1, 2].map((step) => [low + step, weight(at - low - step)] as const);
    const kept = outside ? taps.filter(([place]) => place >= 0 && place < rule.from) : taps;
    const sum = outside ? kept.reduce((total, [, share]) => total + share, 0) : 1;
    return kept.map(([place, share]) => [Math.min(Math.max(place, 0), rule.from - 1), share / sum] as const);
  });
}

/** Sums along one axis as a product with a constant matrix. */
function weighted(c: Converter, node: Node, x: Ref, axis: number, taps: Taps): Ref {
  const rank = x.shape.length;
  const from = x.shape[axis] ?? 1;
  if (rank < 2 || axis < rank - 2) c.fail(node, 'only the last two axes can be resized by weights');
  const matrix = new Float32Array(taps.length * from);
  for (const [to, row] of taps.entries())
    for (const [place, share] of row) matrix[to * from + place] = (matrix[to * from + place] ?? 0) + share;
  const weights = c.floats('resize', [taps.length, from], matrix);
  const shape = x.shape.map((dim, at) => (at === axis ? taps.length : dim));
  const out = { name: node.output().name, shape, type: x.type };
  const last = axis === rank - 1;
  const inputs = last ? { x, y: weights } : { x: weights, y: x };
  return c.op('matmul', { ...inputs, transpose_x: c.bool(false), transpose_y: c.bool(last) }, out);
}
