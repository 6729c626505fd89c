import type { Node, Value } from '../../../src/ir/graph.ts';
import { type Compiler, integers, type Lazy } from '../compile/compiler.ts';
import { type CType, cannot, countOf, floatLiteral, type Ref, stridesOf } from '../compile/types.ts';

/** Beyond this many operators an expression gets a name, that is, memory: the text stays readable and nothing is computed twice. */
const largestExpression = 16;

const float = (value: number | undefined, fallback: number): string => floatLiteral(value ?? fallback);

type Unary = (x: string, node: Node) => string;

const unary: Readonly<Record<string, Unary>> = {
  Abs: (x) => `fabsf(${x})`,
  Ceil: (x) => `ceilf(${x})`,
  Cos: (x) => `cosf(${x})`,
  Erf: (x) => `erff(${x})`,
  Exp: (x) => `expf(${x})`,
  Floor: (x) => `floorf(${x})`,
  Log: (x) => `logf(${x})`,
  Neg: (x) => `(-${x})`,
  Reciprocal: (x) => `(1.0f / ${x})`,
  Round: (x) => `(f32)nearest(${x})`,
  Sin: (x) => `sinf(${x})`,
  Sqrt: (x) => `sqrtf(${x})`,
  Tanh: (x) => `tanhf(${x})`,
  Relu: (x) => `relu(${x})`,
  Sigmoid: (x) => `sigmoid(${x})`,
  Softplus: (x) => `softplus(${x})`,
  Softsign: (x) => `softsign(${x})`,
  Sign: (x) => `sign(${x})`,
  HardSwish: (x) => `hard_swish(${x})`,
  Mish: (x) => `mish(${x})`,
  LeakyRelu: (x, node) => `leaky(${x}, ${float(node.float('alpha'), 0.01)})`,
  Elu: (x, node) => `elu(${x}, ${float(node.float('alpha'), 1)}, 1.0f)`,
  Selu: (x, node) =>
    `elu(${x}, ${float(node.float('alpha'), 1.6732632423543772)}, ${float(node.float('gamma'), 1.0507009873554805)})`,
  HardSigmoid: (x, node) =>
    `clampf(${float(node.float('alpha'), 0.2)} * ${x} + ${float(node.float('beta'), 0.5)}, 0.0f, 1.0f)`,
  ThresholdedRelu: (x, node) => `above(${x}, ${float(node.float('alpha'), 1)})`,
  Gelu: (x, node) => (node.string('approximate') === 'tanh' ? `gelu_tanh(${x})` : `gelu(${x})`),
};

/** The functions above that C does not have. */
export const elementFunctions = `static inline MAYBE_UNUSED f32 relu(f32 x) { return x < 0.0f ? 0.0f : x; }
static inline MAYBE_UNUSED f32 sigmoid(f32 x) { return 1.0f / (1.0f + expf(-x)); }
static inline MAYBE_UNUSED f32 softplus(f32 x) { return x > 0.0f ? x + log1pf(expf(-x)) : log1pf(expf(x)); }
static inline MAYBE_UNUSED f32 softsign(f32 x) { return x / (1.0f + fabsf(x)); }
static inline MAYBE_UNUSED f32 sign(f32 x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }
static inline MAYBE_UNUSED f32 hard_swish(f32 x) { return x * clampf(x / 6.0f + 0.5f, 0.0f, 1.0f); }
static inline MAYBE_UNUSED f32 mish(f32 x) { return x * tanhf(softplus(x)); }
static inline MAYBE_UNUSED f32 leaky(f32 x, f32 slope) { return x < 0.0f ? slope * x : x; }
static inline MAYBE_UNUSED f32 elu(f32 x, f32 alpha, f32 gamma) { return gamma * (x < 0.0f ? alpha * expm1f(x) : x); }
static inline MAYBE_UNUSED f32 above(f32 x, f32 limit) { return x > limit ? x : 0.0f; }
static inline MAYBE_UNUSED f32 gelu(f32 x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }
static inline MAYBE_UNUSED f32 gelu_tanh(f32 x) { return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x))); }
static inline MAYBE_UNUSED i64 modulo(i64 a, i64 b) { const i64 r = a % b; return r != 0 && (r < 0) != (b < 0) ? r + b : r; }
static inline MAYBE_UNUSED i64 power(i64 a, i64 b) { i64 r = 1; while (b-- > 0) r *= a; return r; }
`;

type Binary = (a: string, b: string, type: CType) => string;

const isFloat = (type: CType): boolean => type === 'f32';

const binary: Readonly<Record<string, Binary>> = {
  Add: (a, b) => `(${a} + ${b})`,
  Sub: (a, b) => `(${a} - ${b})`,
  Mul: (a, b) => `(${a} * ${b})`,
  Div: (a, b) => `(${a} / ${b})`,
  Pow: (a, b, type) => (isFloat(type) ? `powf(${a}, ${b})` : `power(${a}, ${b})`),
  Min: (a, b) => `(${a} < ${b} ? ${a} : ${b})`,
  Max: (a, b) => `(${a} > ${b} ? ${a} : ${b})`,
  Mod: (a, b, type) => (isFloat(type) ? `fmodf(${a}, ${b})` : `modulo(${a}, ${b})`),
  PRelu: (a, b) => `leaky(${a}, ${b})`,
};

const comparison: Readonly<Record<string, string>> = {
  Equal: '==',
  Greater: '>',
  Less: '<',
  GreaterOrEqual: '>=',
  LessOrEqual: '<=',
  And: '&&',
  Or: '||',
  Xor: '!=',
};

export const elementwiseOps: ReadonlySet<string> = new Set([
  ...Object.keys(unary),
  ...Object.keys(binary),
  ...Object.keys(comparison),
  'Clip',
  'Where',
  'Cast',
  'Not',
  'Sum',
  'Mean',
  'QuantizeLinear',
  'DequantizeLinear',
  'BatchNormalization',
  'Expand',
  'Identity',
]);

/** An operator that computes each element of its output from the elements in the same place. */
export function compileElementwise(compiler: Compiler, node: Node): void {
  const output = node.output();
  if (node.op === 'DequantizeLinear' && rememberQuantized(compiler, node, output)) return;
  const { type, shape } = compiler.typeOf(output);
  const lazy = { ...express(compiler, node, type), type, shape };
  const reader = compiler.isOnlyFor(output);
  const fits = reader && staysLazy(reader, shape) && lazy.weight < largestExpression;
  if (fits) compiler.setLazy(output, lazy);
  else compiler.store(output, lazy);
}

/** Only a reader that runs over the same elements can compute a value on the way. */
function staysLazy(reader: Node, shape: readonly number[]): boolean {
  if (!elementwiseOps.has(reader.op) || reader.domain !== '' || reader.is('Identity')) return false;
  const to = reader.outputs[0]?.shape;
  return to !== undefined && to.join() === shape.join();
}

/** Min and Max read their operands twice, so what is expensive must be in memory. */
const twice: ReadonlySet<string> = new Set(['Min', 'Max']);

function express(compiler: Compiler, node: Node, type: CType): Omit<Lazy, 'type' | 'shape'> {
  const operand = (index: number): Lazy => {
    const value = compiler.input(node, index);
    const small = scalarOf(compiler, value);
    if (small) return small;
    if (twice.has(node.op) && compiler.isLazy(value)) compiler.ref(value);
    const lazy = compiler.lazy(value);
    // An expression is read in the shape of its own; to be repeated it must be in memory.
    const repeated = lazy.leaves.length > 0 && lazy.shape.join() !== node.output().shape?.join();
    if (!repeated || lazy.weight === 0) return lazy;
    compiler.ref(value);
    return compiler.lazy(value);
  };
  const combine = (
    operands: readonly Lazy[],
    text: (parts: readonly string[]) => string,
  ): Omit<Lazy, 'type' | 'shape'> => ({
    leaves: [...new Set(operands.flatMap(({ leaves }) => leaves))],
    weight: 1 + operands.reduce((sum, { weight }) => sum + weight, 0),
    text: (read) => text(operands.map((one) => one.text(read))),
  });
  const inputs = node.inputs.filter((value) => value !== undefined);
  const { op } = node;
  const one = unary[op];
  if (one) {
    const x = operand(0);
    if (isFloat(x.type)) return combine([x], ([a = '']) => one(a, node));
    const whole: Readonly<Record<string, (a: string) => string>> = {
      Abs: (a) => `(${a} < 0 ? -${a} : ${a})`,
      Neg: (a) => `(-${a})`,
      Relu: (a) => `(${a} < 0 ? 0 : ${a})`,
    };
    const text = whole[op] ?? cannot(node, `it works on ${x.type}, and is known for floats only`);
    return combine([x], ([a = '']) => `(${type})${text(a)}`);
  }
  const two = binary[op];
  if (two) {
    const operands = inputs.map((_, index) => operand(index));
    const kind = operands[0]?.type ?? type;
    if (op === 'Pow' && isFloat(kind)) return power(compiler, node, operands, combine);
    return combine(operands, (parts) =>
      cast(
        type,
        parts.reduce((a, b) => two(a, b, kind)),
      ),
    );
  }
  const sign = comparison[op];
  if (sign) return combine([operand(0), operand(1)], ([a, b]) => `(u8)(${a} ${sign} ${b})`);
  switch (op) {
    case 'Not':
      return combine([operand(0)], ([a]) => `(u8)!${a}`);
    case 'Identity':
    case 'Expand':
      return combine([operand(0)], ([a = '']) => a);
    case 'Cast':
      return castTo(node, operand(0), type, combine);
    case 'Where':
      return combine([operand(0), operand(1), operand(2)], ([c, a, b]) => `(${c} ? ${a} : ${b})`);
    case 'Sum':
    case 'Mean': {
      const scale = op === 'Mean' ? ` / ${inputs.length}.0f` : '';
      return combine(
        inputs.map((_, index) => operand(index)),
        (parts) => `((${parts.join(' + ')})${scale})`,
      );
    }
    case 'Clip':
      return clip(compiler, node, operand(0), type, combine);
    case 'QuantizeLinear':
      return quantize(compiler, node, operand(0), combine);
    case 'DequantizeLinear':
      return dequantizeAxis(compiler, node, operand(0), combine);
    case 'BatchNormalization':
      return batchNormalization(compiler, node, operand(0), combine);
    default:
      return cannot(node, 'it is not known');
  }
}

type Combine = (operands: readonly Lazy[], text: (parts: readonly string[]) => string) => Omit<Lazy, 'type' | 'shape'>;

/** Whole numbers narrower than int are computed in int, and cut back. */
function cast(type: CType, text: string): string {
  return type === 'f32' || type === 'i64' || type === 'i32' ? text : `(${type})${text}`;
}

function castTo(node: Node, x: Lazy, type: CType, combine: Combine): Omit<Lazy, 'type' | 'shape'> {
  if (node.output().dtype === 'bool') return combine([x], ([a]) => `(u8)(${a} != 0)`);
  if (isFloat(x.type) && (type === 'i8' || type === 'u8' || type === 'i16' || type === 'u16'))
    return combine([x], ([a]) => `(${type})(i32)${a}`);
  return combine([x], ([a]) => `(${type})${a}`);
}

function power(
  compiler: Compiler,
  node: Node,
  operands: readonly Lazy[],
  combine: Combine,
): Omit<Lazy, 'type' | 'shape'> {
  const exponent = compiler.constantOf(node.inputs[1]);
  const known = exponent && exponent.byteLength <= 8 ? compiler.numbers(node, 1)?.[0] : undefined;
  const [x, e] = operands;
  if (!x || !e) return cannot(node, 'an input is missing');
  if (known === 0.5) return combine([x], ([a]) => `sqrtf(${a})`);
  if (known === 2 && x.weight === 0) return combine([x], ([a]) => `(${a} * ${a})`);
  if (known === 3 && x.weight === 0) return combine([x], ([a]) => `(${a} * ${a} * ${a})`);
  return combine([x, e], ([a, b]) => `powf(${a}, (f32)${b})`);
}

/** A constant of one element, as a literal. */
function scalarOf(compiler: Compiler, value: Value): Lazy | undefined {
  const tensor = compiler.constantOf(value);
  if (!tensor || countOf(tensor.shape) !== 1) return undefined;
  const { type } = compiler.typeOf(value);
  const shown = literalOf(tensor.dtype, tensor.bytes(), type);
  return { type, shape: tensor.shape, leaves: [], weight: 0, text: () => shown };
}

function literalOf(dtype: string, bytes: Uint8Array, type: CType): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (dtype) {
    case 'float32':
      return floatLiteral(view.getFloat32(0, true));
    case 'int64': {
      const value = view.getBigInt64(0, true);
      return value === -(2n ** 63n) ? 'INT64_MIN' : `(i64)${value < 0n ? `(${value}LL)` : `${value}LL`}`;
    }
    case 'int32':
      return view.getInt32(0, true) === -(2 ** 31) ? 'INT32_MIN' : `(${view.getInt32(0, true)})`;
    case 'uint32':
      return `${view.getUint32(0, true)}u`;
    case 'int16':
      return `(${view.getInt16(0, true)})`;
    case 'uint16':
      return `${view.getUint16(0, true)}`;
    case 'int8':
      return `(${view.getInt8(0)})`;
    default:
      return `(${type})${view.getUint8(0)}`;
  }
}

/** Bounds of a Clip; undefined where one is not constant. */
export function clipBounds(compiler: Compiler, node: Node): { lo: number; hi: number } | undefined {
  const bound = (index: number, name: string, fallback: number): number | undefined => {
    const value = node.inputs[index];
    if (!value) return node.float(name, fallback);
    const tensor = compiler.constantOf(value);
    return tensor?.dtype === 'float32' ? compiler.numbers(node, index)?.[0] : undefined;
  };
  const [lo, hi] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)];
  return lo === undefined || hi === undefined ? undefined : { lo, hi };
}

function clip(compiler: Compiler, node: Node, x: Lazy, type: CType, combine: Combine): Omit<Lazy, 'type' | 'shape'> {
  const bounds = isFloat(type) ? clipBounds(compiler, node) : undefined;
  if (bounds) return combine([x], ([a]) => `clampf(${a}, ${floatLiteral(bounds.lo)}, ${floatLiteral(bounds.hi)})`);
  const [lo, hi] = [1, 2].map((index) => {
    const value = node.inputs[index];
    return value && compiler.lazy(value);
  });
  if (x.weight > 0 && lo && hi) compiler.ref(compiler.input(node, 0));
  const all = [x.weight > 0 ? compiler.lazy(compiler.input(node, 0)) : x, ...(lo ? [lo] : []), ...(hi ? [hi] : [])];
  return combine(all, ([a, ...rest]) => {
    const low = lo ? rest.shift() : undefined;
    const high = hi ? rest.shift() : undefined;
    const upper = high === undefined ? a : `(${a} > ${high} ? ${high} : ${a})`;
    return low === undefined ? (upper ?? '') : `(${a} < ${low} ? ${low} : ${upper})`;
  });
}

/** Scale and zero point where they are one constant for the whole tensor. */
export function scalarQuantization(compiler: Compiler, node: Node): { scale: number; zeroPoint: number } | undefined {
  const scale = compiler.constantOf(node.inputs[1]);
  const zero = compiler.constantOf(node.inputs[2]);
  if (!scale || scale.dtype !== 'float32' || countOf(scale.shape) !== 1 || (node.inputs[2] && !zero)) return undefined;
  return { scale: compiler.numbers(node, 1)?.[0] ?? 1, zeroPoint: (zero && integers(zero)?.[0]) ?? 0 };
}

function rememberQuantized(compiler: Compiler, node: Node, output: Value): boolean {
  if (compiler.constantOf(output)) return true;
  const parameters = scalarQuantization(compiler, node);
  const { type } = compiler.typeOf(compiler.input(node, 0));
  if (!parameters || (type !== 'i8' && type !== 'u8') || output.dtype !== 'float32') return false;
  compiler.setQuantized(output, { ref: compiler.ref(compiler.input(node, 0)), ...parameters });
  return true;
}

const ranges: Readonly<Record<string, readonly [number, number]>> = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  u16: [0, 65535],
};

export function rangeOf(node: Node, type: CType): readonly [number, number] {
  return ranges[type] ?? cannot(node, `it quantizes to ${type}, and 8 or 16 bits are known`);
}

function quantize(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Omit<Lazy, 'type' | 'shape'> {
  const { type } = compiler.typeOf(node.output());
  const [lo, hi] = rangeOf(node, type);
  const parameters =
    scalarQuantization(compiler, node) ?? cannot(node, 'scale and zero point must be one constant each');
  return combine(
    [x],
    ([a]) => `(${type})quantize(${a}, ${floatLiteral(parameters.scale)}, ${parameters.zeroPoint}, ${lo}, ${hi})`,
  );
}

/** Scales along an axis, or of a type wider than 8 bits: as a product with vectors that are repeated. */
function dequantizeAxis(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Omit<Lazy, 'type' | 'shape'> {
  const scales = compiler.numbers(node, 1) ?? cannot(node, 'its scale must be a constant');
  if (node.int('block_size', 0) !== 0) return cannot(node, 'scales of blocks are known for constants only');
  const zeroTensor = compiler.constantOf(node.inputs[2]);
  const zeros = Float32Array.from(scales, (_, i) => (zeroTensor && integers(zeroTensor)?.[i]) ?? 0);
  const rank = x.shape.length;
  const axis = (node.int('axis', 1) + rank) % Math.max(1, rank);
  const shape = x.shape.map((dim, i) => (scales.length > 1 && i === axis ? dim : 1));
  const leaf = (values: Float32Array): Lazy => {
    const ref = compiler.floats(values, shape);
    return { type: 'f32', shape, leaves: [ref], weight: 0, text: (read) => read(ref) };
  };
  return combine([x, leaf(zeros), leaf(scales)], ([q, z, s]) => `(((f32)${q} - ${z}) * ${s})`);
}

function batchNormalization(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Omit<Lazy, 'type' | 'shape'> {
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map(
    (index) => compiler.numbers(node, index) ?? cannot(node, 'its parameters must be constants'),
  );
  const epsilon = node.float('epsilon', 1e-5);
  const factors = Float32Array.from(scale ?? [], (value, i) => value / Math.sqrt((variance?.[i] ?? 1) + epsilon));
  const shifts = Float32Array.from(factors, (factor, i) => (bias?.[i] ?? 0) - (mean?.[i] ?? 0) * factor);
  const shape = x.shape.map((dim, axis) => (axis === 1 ? dim : 1));
  const leaf = (values: Float32Array): Lazy => {
    const ref = compiler.floats(values, shape);
    return { type: 'f32', shape, leaves: [ref], weight: 0, text: (read) => read(ref) };
  };
  return combine([x, leaf(factors), leaf(shifts)], ([a, f, s]) => `(${a} * ${f} + ${s})`);
}

/** Writes an expression to memory: loops over the dimensions, neighbours that every operand steps through alike as one. */
export function storeElementwise(compiler: Compiler, value: Value, lazy: Lazy): Ref {
  const to = compiler.define(value);
  compiler.kernels.add('elements');
  const { dims, strides } = collapse(lazy.shape, lazy.leaves);
  const inPlace = lazy.leaves.filter((leaf) => leaf.type === to.type && leaf.shape.join() === to.shape.join());
  compiler.steps.push({
    title: `${value.producer ?? value.name}`,
    reads: lazy.leaves,
    writes: [to],
    inPlace: inPlace.filter(({ block }) => lazy.leaves.filter((leaf) => leaf.block === block).length === 1),
    code(address) {
      const names = new Map(lazy.leaves.map((leaf, i) => [leaf, `x${i}`]));
      const open = lazy.leaves.map((leaf, i) => `const ${leaf.type}* x${i} = ${address(leaf)};`);
      const index = (all: readonly number[]): string => {
        const terms = all.flatMap((stride, axis) =>
          stride === 0 ? [] : [stride === 1 ? `i${axis}` : `i${axis} * ${stride}`],
        );
        return terms.join(' + ') || '0';
      };
      const read = (leaf: Ref): string => `${names.get(leaf)}[${index(strides.get(leaf) ?? [])}]`;
      const loops = dims.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
      return [
        ...open,
        `${to.type}* y = ${address(to)};`,
        `${loops} y[${index(stridesOf(dims))}] = ${lazy.text(read)};`,
      ].join('\n  ');
    },
  });
  return to;
}

/** Merges neighbouring dimensions where every operand either runs through both without a gap or stands still in both. */
export function collapse(
  shape: readonly number[],
  leaves: readonly Ref[],
): { dims: number[]; strides: Map<Ref, number[]> } {
  const full = leaves.map((leaf) => {
    const padded = [...Array<number>(Math.max(0, shape.length - leaf.shape.length)).fill(1), ...leaf.shape];
    const own = stridesOf(padded);
    return padded.map((dim, axis) => (dim === 1 && shape[axis] !== 1 ? 0 : (own[axis] ?? 0)));
  });
  const dims: number[] = [];
  const kept: number[][] = leaves.map(() => []);
  for (const [axis, dim] of shape.entries()) {
    if (dim === 1 && (shape.length > 1 || dims.length > 0)) continue;
    const last = dims.length - 1;
    const merges =
      last >= 0 &&
      full.every((strides, i) => {
        const outer = kept[i]?.[last] ?? 0;
        const inner = strides[axis] ?? 0;
        return outer === inner * dim;
      });
    if (merges) {
      dims[last] = (dims[last] ?? 1) * dim;
      for (const [i, strides] of full.entries()) if (kept[i]) kept[i][last] = strides[axis] ?? 0;
    } else {
      dims.push(dim);
      for (const [i, strides] of full.entries()) kept[i]?.push(strides[axis] ?? 0);
    }
  }
  if (dims.length === 0) {
    dims.push(1);
    for (const one of kept) one.push(0);
  }
  return { dims, strides: new Map(leaves.map((leaf, i) => [leaf, kept[i] ?? []])) };
}
