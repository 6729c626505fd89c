import type { Node } from '../../../src/ir/graph.ts';
import { type CType, floatLiteral } from '../compile/types.ts';

const float = (value: number | undefined, fallback: number): string => floatLiteral(value ?? fallback);

/** C text of an operator on one float. */
type Unary = (x: string, node: Node) => string;

export const unary: Readonly<Record<string, Unary>> = {
  Abs: (x) => `fabsf(${x})`,
  Ceil: (x) => `ceilf(${x})`,
  Cos: (x) => `cosf(${x})`,
  Erf: (x) => `erff(${x})`,
  Exp: (x) => `expf(${x})`,
  Floor: (x) => `floorf(${x})`,
  Log: (x) => `logf(${x})`,
  Neg: (x) => `(-${x})`,
  Reciprocal: (x) => `(1.0f / ${x})`,
  Round: (x) => `rintf(${x})`,
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
static inline MAYBE_UNUSED i64 power(i64 a, i64 b) {
  i64 r = 1;
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  while (b-- > 0) r *= a;
  return r;
}
`;

type Binary = (a: string, b: string, type: CType) => string;

export const isFloat = (type: CType): boolean => type === 'f32';

export const binary: Readonly<Record<string, Binary>> = {
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

export const comparison: Readonly<Record<string, string>> = {
  Equal: '==',
  Greater: '>',
  Less: '<',
  GreaterOrEqual: '>=',
  LessOrEqual: '<=',
  And: '&&',
  Or: '||',
  Xor: '!=',
};
