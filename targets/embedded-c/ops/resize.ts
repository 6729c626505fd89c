import type { Node } from '../../../src/ir/graph.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf, type Ref } from '../compile/types.ts';
import { roundHalfEven } from './epilogue.ts';
import { known, moves } from './move.ts';
import { twoOf } from './window.ts';

/** Where output `i` of a dimension lies in the input; divided in single precision, as ONNX Runtime does: 8 / 1.6 is 5 there. */
function placeOf(node: Node, mode: string, i: number, extent: number, out: number, scale: number): number {
  switch (mode) {
    case 'half_pixel':
      return Math.fround((i + 0.5) / scale) - 0.5;
    case 'pytorch_half_pixel':
      return out > 1 ? Math.fround((i + 0.5) / scale) - 0.5 : 0;
    case 'align_corners':
      return out > 1 ? (i * (extent - 1)) / (out - 1) : 0;
    case 'asymmetric':
      return Math.fround(i / scale);
    case 'half_pixel_symmetric': {
      const adjustment = out / (scale * extent);
      return (extent / 2) * (1 - adjustment) + (i + 0.5) / scale - 0.5;
    }
    default:
      return cannot(node, `its coordinates are ${mode}`);
  }
}

const rounding: Readonly<Record<string, (x: number) => number>> = {
  round_prefer_floor: (x) => Math.ceil(x - 0.5),
  round_prefer_ceil: (x) => Math.floor(x + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** Resize and Upsample of the last two dimensions, nearest or linear: where each row and column comes from is a table. */
export function compileResize(compiler: Compiler, node: Node, opset: number): void {
  const value = compiler.input(node, 0);
  const { shape } = compiler.typeOf(value);
  const out = compiler.typeOf(node.output()).shape;
  if (shape.length < 3 || shape.length > 4) cannot(node, `it resizes ${shape.length} dimensions, and images are known`);
  const spatial = shape.length - 2;
  if (out.slice(0, 2).join() !== shape.slice(0, 2).join()) cannot(node, 'it resizes batch or channels');
  if (node.int('antialias', 0) !== 0) cannot(node, 'it is antialiased');
  // Upsample, and Resize of opset 10, which is Upsample that may shrink: one rule, the scales in input 1.
  const old = node.op === 'Upsample' || opset < 11;
  const mode = node.string('mode') ?? 'nearest';
  const coordinates = old ? 'asymmetric' : (node.string('coordinate_transformation_mode') ?? 'half_pixel');
  const roundTo = rounding[node.string('nearest_mode') ?? 'round_prefer_floor'] ?? roundHalfEven;
  const nearest = (x: number, shrinks: boolean): number =>
    old ? (shrinks ? Math.ceil(x) : Math.floor(x)) : roundTo(x);
  const scalesInput = old ? 1 : 2;
  const given = node.inputs[scalesInput] ? known(compiler, node, scalesInput) : undefined;
  const axes = Array.from({ length: spatial }, (_, i) => i + 2);
  const named = node.ints('axes')?.map((axis) => (axis < 0 ? axis + shape.length : axis)) ?? [...shape.keys()];
  const places = axes.map((axis) => {
    const [extent, to] = [shape[axis] ?? 1, out[axis] ?? 1];
    const scale = given && given.length === named.length ? (given[named.indexOf(axis)] ?? 1) : Math.fround(to / extent);
    return Array.from({ length: to }, (_, i) => placeOf(node, coordinates, i, extent, to, scale));
  });
  while (places.length < 2) places.unshift([0]);
  const [h, w] = twoOf(shape.slice(2), 1);
  const [rows = [], cols = []] = places;
  const planes = countOf(shape.slice(0, 2));
  const limit = (x: number, extent: number): number => Math.min(Math.max(x, 0), extent - 1);
  const table = (numbers: readonly number[]): Ref =>
    compiler.bytes('i32', [numbers.length], new Uint8Array(Int32Array.from(numbers).buffer));
  if (mode === 'nearest') {
    const [r, c] = [
      table(rows.map((x) => limit(nearest(x, rows.length < h), h))),
      table(cols.map((x) => limit(nearest(x, cols.length < w), w))),
    ];
    moves(
      compiler,
      node,
      [value],
      node.output(),
      ([from], to) =>
        (at) =>
          `const ${from?.type}* x = ${from && at(from)};
  ${to.type}* y = ${at(to)};
  const i32 *r = ${at(r)}, *c = ${at(c)};
  for (int p = 0; p < ${planes}; ++p, x += ${h * w}) for (int i = 0; i < ${rows.length}; ++i) for (int j = 0; j < ${cols.length}; ++j) *y++ = x[r[i] * ${w} + c[j]];`,
      [r, c],
    );
    return;
  }
  if (mode !== 'linear') cannot(node, `its mode is ${mode}`);
  if (compiler.typeOf(value).type !== 'f32') cannot(node, 'it interpolates whole numbers');
  const from = compiler.ref(value);
  const low = (all: readonly number[], extent: number): Ref => table(all.map((x) => Math.floor(limit(x, extent))));
  const high = (all: readonly number[], extent: number): Ref =>
    table(all.map((x) => Math.min(Math.floor(limit(x, extent)) + 1, extent - 1)));
  const share = (all: readonly number[], extent: number): Ref =>
    compiler.floats(Float32Array.from(all, (x) => limit(x, extent) - Math.floor(limit(x, extent))));
  const tables = { r0: low(rows, h), r1: high(rows, h), c0: low(cols, w), c1: high(cols, w) };
  const [fr, fc] = [share(rows, h), share(cols, w)];
  const to = compiler.define(node.output());
  compiler.steps.push({
    title: `${node}`,
    reads: [from, ...Object.values(tables), fr, fc],
    writes: [to],
    code: (at) => `const f32* x = ${at(from)};
  f32* y = ${at(to)};
  const i32 *r0 = ${at(tables.r0)}, *r1 = ${at(tables.r1)}, *c0 = ${at(tables.c0)}, *c1 = ${at(tables.c1)};
  const f32 *fr = ${at(fr)}, *fc = ${at(fc)};
  for (int p = 0; p < ${planes}; ++p, x += ${h * w}) for (int i = 0; i < ${rows.length}; ++i) {
    const f32 *a = x + r0[i] * ${w}, *b = x + r1[i] * ${w};
    for (int j = 0; j < ${cols.length}; ++j)
      *y++ = (1.0f - fr[i]) * ((1.0f - fc[j]) * a[c0[j]] + fc[j] * a[c1[j]]) + fr[i] * ((1.0f - fc[j]) * b[c0[j]] + fc[j] * b[c1[j]]);
  }`,
  });
}
