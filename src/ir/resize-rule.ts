import type { Node } from './graph.ts';

/** How ONNX Resize looks at one axis. */
export interface ResizeRule {
  readonly mode: string;
  readonly nearest: string;
  readonly scale: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The place in the input that an output index asks for (ONNX Resize, coordinate_transformation_mode); divided in single precision, as
 * ONNX Runtime does: 8 / 1.6 is 5 there.
 */
export function coordinate(x: number, { mode, scale, from, to }: ResizeRule): number {
  if (mode === 'asymmetric') return Math.fround(x / scale);
  if (mode === 'align_corners') return to === 1 ? 0 : (x * (from - 1)) / (to - 1);
  if (mode === 'pytorch_half_pixel' && to === 1) return 0;
  return Math.fround((x + 0.5) / scale) - 0.5;
}

/** The input element that mode nearest takes. */
export function nearestIndex(x: number, rule: ResizeRule): number {
  const at = coordinate(x, rule);
  const rounded =
    rule.nearest === 'floor'
      ? Math.floor(at)
      : rule.nearest === 'ceil'
        ? Math.ceil(at)
        : rule.nearest === 'round_prefer_ceil'
          ? Math.floor(at + 0.5)
          : Math.ceil(at - 0.5);
  return Math.min(Math.max(rounded, 0), rule.from - 1);
}

/**
 * The rules of all axes of a Resize or Upsample; `scales` as the node gives them, for its `axes` where it names some. Before opset 11 there was one
 * rule, and ONNX Runtime takes the element before where an axis grows and the one behind where it shrinks (tried on 1.30).
 */
export function resizeRules(
  node: Node,
  input: readonly number[],
  output: readonly number[],
  { scales, opset }: { readonly scales: readonly number[] | undefined; readonly opset: number },
): ResizeRule[] {
  const old = node.op === 'Upsample' || opset < 11;
  const axes = node.ints('axes')?.map((axis) => (axis < 0 ? axis + input.length : axis)) ?? [...input.keys()];
  const given = scales?.length === axes.length ? scales : undefined;
  return input.map((from, axis) => {
    const scale = given?.[axes.indexOf(axis)] ?? Math.fround((output[axis] ?? 1) / from);
    return {
      mode: old ? 'asymmetric' : (node.string('coordinate_transformation_mode') ?? 'half_pixel'),
      nearest: old ? (scale < 1 ? 'ceil' : 'floor') : (node.string('nearest_mode') ?? 'round_prefer_floor'),
      scale,
      from,
      to: output[axis] ?? 1,
    };
  });
}
