import { elementCount } from '../../../src/ir/tensor.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Kernel } from './values.ts';

export const upsampleNearest: Kernel = (p) => {
  const x = p.tensor('x');
  const factors = [p.number('scale_factor_height', 1), p.number('scale_factor_width', 1)];
  const rank = x.shape.length;
  const shape = x.shape.map((dim, axis) => dim * (factors[axis - (rank - 2)] ?? 1));
  const [own, strides] = [stridesOf(shape), stridesOf(x.shape)];
  const values = Float64Array.from({ length: elementCount(shape) }, (_, at) => {
    let from = 0;
    for (const [axis, dim] of shape.entries())
      from +=
        Math.floor((Math.floor(at / (own[axis] ?? 1)) % dim) / (factors[axis - (rank - 2)] ?? 1)) *
        (strides[axis] ?? 0);
    return x.values[from] ?? 0;
  });
  return { shape, values };
};

/** Grid points by sampling mode (coremltools, resize_bilinear), between which is interpolated. */
function gridPoints(mode: string, from: number, to: number): number[] {
  return Array.from({ length: to }, (_, i) => {
    const spacing = mode === 'STRICT_ALIGN_CORNERS' ? (to === 1 ? 0 : (from - 1) / (to - 1)) : from / to;
    const at = mode === 'UNALIGN_CORNERS' ? i * spacing + 0.5 * spacing - 0.5 : i * spacing;
    return Math.min(from - 1, Math.max(0, at));
  });
}

export const resizeBilinear: Kernel = (p) => {
  const x = p.tensor('x');
  const mode = p.text('sampling_mode', 'DEFAULT');
  const [h = 1, w = 1] = x.shape.slice(-2);
  const [outH, outW] = [p.number('target_size_height', 1), p.number('target_size_width', 1)];
  const [rows, columns] = [gridPoints(mode, h, outH), gridPoints(mode, w, outW)];
  const planes = x.values.length / (h * w);
  const values = new Float64Array(planes * outH * outW);
  let place = 0;
  for (let plane = 0; plane < planes; plane++)
    for (const row of rows)
      for (const column of columns) {
        const [y0, x0] = [Math.floor(row), Math.floor(column)];
        const [y1, x1] = [Math.min(y0 + 1, h - 1), Math.min(x0 + 1, w - 1)];
        const at = (y: number, c: number): number => x.values[(plane * h + y) * w + c] ?? 0;
        const [fy, fx] = [row - y0, column - x0];
        values[place++] =
          (at(y0, x0) * (1 - fx) + at(y0, x1) * fx) * (1 - fy) + (at(y1, x0) * (1 - fx) + at(y1, x1) * fx) * fy;
      }
  return { shape: [...x.shape.slice(0, -2), outH, outW], values };
};
