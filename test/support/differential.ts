import type { DType } from '../../src/ir/dtype.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, tensorOf, toNumbers, typedArray } from '../../src/ir/tensor.ts';
import type { Dim } from '../../src/ir/types.ts';
import { f16ToF32, f32ToF16 } from '../../src/kernels/f16.ts';
import type { Numerics } from '../../src/pass/pass.ts';
import { type Feeds, runOrt } from './ort.ts';

/** Small seeded generator (mulberry32), uniform in [0, 1). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const edges = [0, -0, 1, -1, 1e-40, -1e-40, 0.5, -0.5, 255, -128, 1e4, -1e4, 3, 6, 1e-6, 2];

type Filling = (next: () => number) => number;

/** Fillings of float inputs: ordinary numbers, edge values among them, all zero, large numbers. */
const fillings: readonly Filling[] = [
  (next) => next() * 4 - 2,
  (next) => (next() < 0.5 ? (edges[Math.floor(next() * edges.length)] as number) : next() * 2 - 1),
  () => 0,
  (next) => (next() - 0.5) * 2e3,
];

/**
 * For deep networks: where large numbers cancel, a limit or a sigmoid behind them shows rounding noise that no contract
 * in units of the output can cover.
 */
export const calmFillings: readonly Filling[] = [
  (next) => next() * 4 - 2,
  (next) => (next() < 0.5 ? Math.max(-6, Math.min(6, edges[Math.floor(next() * edges.length)] as number)) : next()),
];

/** Callers' inputs: what has no initializer behind it. */
export function realInputs(model: Model): Value[] {
  return model.graph.inputs.filter((value) => value.initializer === undefined);
}

/** Extents of symbolic dimensions by name (2 where nothing is said), and whole shapes of inputs by theirs. */
export type Dims = Readonly<Record<string, number | readonly number[]>>;

/**
 * Seeded inputs, one set per filling.
 * @param values what single inputs hold, where it may not be anything.
 */
export function edgeFeeds(
  model: Model,
  seed: number,
  dims: Dims = {},
  values: Readonly<Record<string, readonly number[]>> = {},
  kinds = fillings,
): Feeds[] {
  return kinds.map((fill, index) => {
    const next = random(seed * 31 + index);
    return new Map(
      realInputs(model).map((value) => [value.name, fillInput(value, fill, next, dims, values[value.name])]),
    );
  });
}

function fillInput(
  value: Value,
  fill: Filling,
  next: () => number,
  dims: Dims,
  given: readonly number[] | undefined,
): Tensor {
  const whole = dims[value.name];
  const extent = (dim: Dim): number => Number(typeof dim === 'number' ? dim : (dims[dim ?? ''] ?? 2));
  const shape = typeof whole === 'object' ? [...whole] : (value.shape ?? []).map(extent);
  const count = elementCount(shape);
  const floats = Float64Array.from({ length: count }, () => fill(next));
  switch (value.dtype) {
    case 'float32':
      return tensorFrom('float32', shape, Float32Array.from(floats));
    case 'float64':
      return tensorFrom('float64', shape, floats);
    case 'float16':
      return tensorFrom('float16', shape, f32ToF16(Float32Array.from(floats), true));
    case 'bool':
      return tensorFrom(
        'bool',
        shape,
        Uint8Array.from(floats, () => (next() < 0.5 ? 0 : 1)),
      );
    case 'int64':
    case 'int32':
    case 'uint8':
    case 'int8':
      return tensorOf(value.dtype, shape, given ?? Array.from(floats, () => Math.floor(next() * 3)));
    default:
      throw new Error(`no filling for input ${value.name} of type ${value.dtype}`);
  }
}

function numbers(tensor: Tensor): ArrayLike<number> {
  if (tensor.dtype === 'float16') return f16ToF32(typedArray(tensor, 'float16'));
  const values = toNumbers(tensor);
  if (!values) throw new Error(`cannot compare ${tensor.dtype}`);
  return values;
}

/** Half precision has 13 bits less: what is rounding noise in float32 is that much more. Seven bits of it are granted. */
const widen: Partial<Record<DType, number>> = { float16: 128, bfloat16: 1024 };

/**
 * Holds `actual` against the contract. The absolute part of `reordered` is in units of the tensor's largest magnitude
 * where that is above 1: rounding noise grows with what was summed, not with what is left of it.
 * @returns a sentence for the worst violation of each output.
 */
export function violations(expected: Feeds, actual: Feeds, numerics: Numerics): string[] {
  const found: string[] = [];
  for (const [name, want] of expected) {
    const got = actual.get(name);
    if (!got) found.push(`no output "${name}"`);
    else if (got.dtype !== want.dtype || got.shape.join() !== want.shape.join()) {
      found.push(`"${name}" is ${got.dtype}[${got.shape}], not ${want.dtype}[${want.shape}]`);
    } else {
      const why = difference(want, got, numerics);
      if (why) found.push(`"${name}" ${why}`);
    }
  }
  return found;
}

function difference(want: Tensor, got: Tensor, numerics: Numerics): string | undefined {
  if (want.dtype === 'string') return undefined;
  const [a, b] = [numbers(want), numbers(got)];
  if (numerics.kind === 'lossy') return lossyDifference(a, b, numerics.sqnrDb);
  let largest = 1;
  for (let i = 0; i < a.length; i++) if (Number.isFinite(a[i])) largest = Math.max(largest, Math.abs(a[i] as number));
  const scale = widen[want.dtype] ?? 1;
  const [rtol, atol] = numerics.kind === 'exact' ? [0, 0] : [numerics.rtol * scale, numerics.atol * scale * largest];
  let worst: { excess: number; text: string } | undefined;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i] as number, b[i] as number];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    const excess = Math.abs(x - y) - (atol + rtol * Math.abs(x));
    if (excess <= 0) continue;
    if (!worst || !(excess <= worst.excess)) worst = { excess, text: `[${i}] is ${y}, not ${x} (largest ${largest})` };
  }
  return worst?.text;
}

function lossyDifference(a: ArrayLike<number>, b: ArrayLike<number>, sqnrDb: number): string | undefined {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < a.length; i++) {
    signal += (a[i] as number) ** 2;
    noise += ((a[i] as number) - (b[i] as number)) ** 2;
  }
  const reached = noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
  return reached >= sqnrDb ? undefined : `has ${reached.toFixed(1)} dB, not ${sqnrDb}`;
}

/** Both models on the same feeds, the runtime's optimizer off; then the second with it on, which must load and agree too. */
export async function differential(
  before: Model | Uint8Array,
  after: Model | Uint8Array,
  feeds: readonly Feeds[],
  numerics: Numerics,
): Promise<string[]> {
  const expected = await runOrt(before, feeds);
  const actual = await runOrt(after, feeds);
  await runOrt(after, feeds, 'all');
  return expected.flatMap((want, i) =>
    violations(want, actual[i] as Feeds, numerics).map((why) => `feeds ${i}: ${why}`),
  );
}
