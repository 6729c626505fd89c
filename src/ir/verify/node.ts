import type { Attr } from '../attr.ts';
import type { Node } from '../graph.ts';
import type { VerifyContext } from './context.ts';

/** Attributes that have one type wherever ONNX's own ops (opset 7 and later) use their name. */
const attrTypes: Readonly<Record<string, Attr['type']>> = {
  axis: 'int',
  axes: 'ints',
  perm: 'ints',
  pads: 'ints',
  strides: 'ints',
  dilations: 'ints',
  kernel_shape: 'ints',
  output_padding: 'ints',
  output_shape: 'ints',
  group: 'int',
  keepdims: 'int',
  to: 'int',
  transA: 'int',
  transB: 'int',
  blocksize: 'int',
  hidden_size: 'int',
  epsilon: 'float',
  momentum: 'float',
  alpha: 'float',
  beta: 'float',
  auto_pad: 'string',
  equation: 'string',
  direction: 'string',
  coordinate_transformation_mode: 'string',
  then_branch: 'graph',
  else_branch: 'graph',
};

const required: Readonly<Record<string, readonly string[]>> = {
  If: ['then_branch', 'else_branch'],
  Loop: ['body'],
  Scan: ['body'],
  Cast: ['to'],
  Concat: ['axis'],
  Einsum: ['equation'],
  DepthToSpace: ['blocksize'],
  SpaceToDepth: ['blocksize'],
};

/** Attribute types of well-known ops, references outside functions, attributes that must be there. */
export function checkAttrs(node: Node, where: string, { fn, opsets, report }: VerifyContext): void {
  for (const [name, attr] of node.attrs) {
    if (attr.type === 'ref' && !fn) {
      report('attr-ref', where, `Attribute "${name}" refers to "@${attr.value}", which only a function body can.`);
    }
    if (node.domain !== '' || (opsets.get('') ?? 0) < 7) continue;
    const expected = Object.hasOwn(attrTypes, name) ? attrTypes[name] : undefined;
    if (expected && attr.type !== expected && attr.type !== 'ref' && !(expected.endsWith('s') && emptyList(attr))) {
      report('attr-type', where, `Attribute "${name}" is of type ${attr.type}; ONNX wants ${expected}.`);
    }
  }
  if (node.domain !== '' || !Object.hasOwn(required, node.op)) return;
  for (const name of required[node.op] ?? []) {
    if (!node.attrs.has(name)) report('attr-missing', where, `${node.op} needs the attribute "${name}".`);
  }
}

/** Some writers leave the type of an empty list open. */
function emptyList(attr: Attr): boolean {
  return Array.isArray(attr.value) && attr.value.length === 0;
}

/** Which inputs must be of one element type: indices, or all. */
const sameType: Readonly<Record<string, readonly number[] | 'all'>> = {
  Add: 'all',
  Sub: 'all',
  Mul: 'all',
  Div: 'all',
  Min: 'all',
  Max: 'all',
  Sum: 'all',
  Mean: 'all',
  Equal: 'all',
  Less: 'all',
  LessOrEqual: 'all',
  Greater: 'all',
  GreaterOrEqual: 'all',
  MatMul: 'all',
  Gemm: 'all',
  Conv: 'all',
  ConvTranspose: 'all',
  Concat: 'all',
  PRelu: 'all',
  Clip: 'all',
  Where: [1, 2],
  ScatterND: [0, 2],
  ScatterElements: [0, 2],
  LSTM: [0, 1, 2, 3],
  GRU: [0, 1, 2, 3],
  RNN: [0, 1, 2, 3],
  LayerNormalization: [0, 1, 2],
};

/** Element types that are known and contradict each other. */
export function checkTypes(node: Node, where: string, { report }: VerifyContext): void {
  if (node.domain !== '' || !Object.hasOwn(sameType, node.op)) return;
  const rule = sameType[node.op];
  const inputs = rule === 'all' ? node.inputs : (rule ?? []).map((index) => node.input(index));
  const types = new Set<string>();
  for (const value of inputs) if (value?.dtype) types.add(value.dtype);
  if (types.size > 1) {
    report('type-conflict', where, `Inputs of ${node} must be of one type, not of ${[...types].join(' and ')}.`);
  }
}
