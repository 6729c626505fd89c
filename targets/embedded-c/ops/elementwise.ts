import type { Node, Value } from '../../../src/ir/graph.ts';
import { toNumbers } from '../../../src/ir/tensor.ts';
import type { Compiler, Lazy } from '../compile/compiler.ts';
import { type CType, cannot, countOf, floatLiteral } from '../compile/types.ts';
import { binary, comparison, isFloat, unary } from './element-functions.ts';
import { type Combine, dequantizeAxis, type Expression, quantize, rememberQuantized } from './element-quantize.ts';

/** Beyond this many operators an expression gets a name, that is, memory: the text stays readable and nothing is computed twice. */
const largestExpression = 16;

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

function express(compiler: Compiler, node: Node, type: CType): Expression {
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
  const combine = (operands: readonly Lazy[], text: (parts: readonly string[]) => string): Expression => ({
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
    if (op === 'Pow' && isFloat(operands[1]?.type ?? kind))
      return combine(operands, ([a, b]) => `(${type})pow((double)${a}, (double)${b})`);
    if (op === 'Mod' && node.int('fmod', 0) !== 0 && !isFloat(kind))
      return combine(operands, ([a = '', b = '']) => cast(type, `(${a} % ${b})`));
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

/** Whole numbers narrower than int are computed in int, and cut back. */
function cast(type: CType, text: string): string {
  return type === 'f32' || type === 'i64' || type === 'i32' ? text : `(${type})${text}`;
}

function castTo(node: Node, x: Lazy, type: CType, combine: Combine): Expression {
  if (node.output().dtype === 'bool') return combine([x], ([a]) => `(u8)(${a} != 0)`);
  if (isFloat(x.type) && (type === 'i8' || type === 'u8' || type === 'i16' || type === 'u16'))
    return combine([x], ([a]) => `(${type})(i32)${a}`);
  return combine([x], ([a]) => `(${type})${a}`);
}

function power(compiler: Compiler, node: Node, operands: readonly Lazy[], combine: Combine): Expression {
  const exponent = compiler.constantOf(node.inputs[1]);
  const known = exponent && countOf(exponent.shape) === 1 ? toNumbers(exponent)?.[0] : undefined;
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

function clip(compiler: Compiler, node: Node, x: Lazy, type: CType, combine: Combine): Expression {
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

function batchNormalization(compiler: Compiler, node: Node, x: Lazy, combine: Combine): Expression {
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
