import type { Node, Value } from '../../../src/ir/graph.ts';
import { nearestIndex, type ResizeRule as Rule, resizeRules } from '../../../src/ir/resize-rule.ts';
import { type Converter, type Handler } from '../converter.ts';
import { lastPerm, permuted } from '../order.ts';
import { asPicture, putPicture } from './convolution.ts';

/** How TensorFlow Lite picks, by its two flags (kernels/internal/reference/resize_nearest_neighbor.h). */
function liteIndex(x: number, { from, to }: Rule, [align, half]: readonly [boolean, boolean]): number {
  const scale = align && to > 1 ? (from - 1) / (to - 1) : from / to;
  const at = (x + (half ? 0.5 : 0)) * scale;
  return Math.min(align ? Math.round(at) : Math.floor(at), from - 1);
}

const flags = [
  [false, false],
  [false, true],
  [true, false],
] as const;

export const resize: Handler = (node, c) => {
  const x = node.input(0) as Value;
  const [shape, out] = [c.shape(x), c.shape(node.output())];
  const mode = node.string('mode') ?? 'nearest';
  if (shape[0] !== out[0] || shape[1] !== out[1]) c.fail(node, 'only axes in space can be resized');
  if (shape.length !== 4 && shape.length !== 3) c.fail(node, 'only one or two axes can be resized');
  const table = node.op === 'Upsample' || c.model.opset < 11 ? node.input(1) : node.input(2);
  const given = table ? c.constant(table) : undefined;
  const scales = given && Array.from(given.values);
  const rules = resizeRules(node, shape, out, { scales, opset: c.model.opset }).slice(2);
  const name = node.output().name;
  const from = asPicture(c, name, c.get(c.entry(x), 'last'));
  const picture = shape.length === 3 ? [shape[0] ?? 1, 1, out[2] ?? 1, out[1] ?? 1] : permuted(out, lastPerm(4));
  if (mode === 'nearest') return putPicture(c, node.output(), nearest(c, name, from, picture, rules));
  if (mode !== 'linear') c.fail(node, `mode ${mode} has no counterpart`);
  if (node.int('antialias', 0) !== 0) c.fail(node, 'antialias has no counterpart');
  putPicture(c, node.output(), linear(c, node, { from, picture, rules }));
};

function nearest(c: Converter, name: string, from: number, picture: readonly number[], rules: readonly Rule[]): number {
  const exact = flags.find((pair) =>
    rules.every((rule) =>
      Array.from({ length: rule.to }, (_, x) => nearestIndex(x, rule) === liteIndex(x, rule, pair)).every(Boolean),
    ),
  );
  if (exact) {
    const size = c.lite.ints('size', picture.slice(1, 3));
    const value = { align_corners: exact[0], half_pixel_centers: exact[1] };
    return c.op(
      'RESIZE_NEAREST_NEIGHBOR',
      [from, size],
      { name, shape: picture, type: c.of(from).type },
      { type: 'ResizeNearestNeighborOptions', value },
    );
  }
  let result = from;
  for (const [i, rule] of rules.entries()) {
    const chosen = Array.from({ length: rule.to }, (_, x) => nearestIndex(x, rule));
    result = c.choose(name, result, i + 3 - rules.length, chosen);
  }
  return result;
}

function linear(
  c: Converter,
  node: Node,
  { from, picture, rules }: { from: number; picture: readonly number[]; rules: readonly Rule[] },
): number {
  const mode = rules[0]?.mode;
  const whole = rules.every(({ scale, from: a, to }) => Math.abs(to - scale * a) < 1e-3);
  const half = mode === 'half_pixel' || mode === 'pytorch_half_pixel';
  if (!whole && mode !== 'align_corners') c.fail(node, 'a scale that does not give whole extents has no counterpart');
  if (mode === 'pytorch_half_pixel' && rules.some(({ from: a, to }) => to === 1 && a !== 1))
    c.fail(node, 'pytorch_half_pixel to one pixel has no counterpart');
  if (!half && mode !== 'align_corners' && mode !== 'asymmetric')
    c.fail(node, `coordinates ${mode} have no counterpart`);
  const value = { align_corners: mode === 'align_corners', half_pixel_centers: half };
  const size = c.lite.ints('size', picture.slice(1, 3));
  return c.op(
    'RESIZE_BILINEAR',
    [from, size],
    { name: node.output().name, shape: picture, type: c.of(from).type },
    { type: 'ResizeBilinearOptions', value },
  );
}
