import type { Node, Value } from '../../../src/ir/graph.ts';

/**
 * What XNNPACK's provider asks of a node beyond its operator (onnxruntime, core/providers/xnnpack: IsOnnxNodeSupported of each kernel). Its verdict hangs on the arithmetic it
 * takes, so that counting what it refuses would turn it around: products of two activations, convolutions over one axis, recurrent cells in a branch.
 */
export function xnnpackTakes(node: Node): boolean {
  const rule = Object.hasOwn(rules, node.op) ? rules[node.op] : undefined;
  return rule?.(node) ?? true;
}

const constant = (value: Value | undefined): boolean => value === undefined || value.constant !== undefined;
const rank = (value: Value | undefined): number => value?.shape?.length ?? Number.NaN;

/** Four axes, of which all but the first are known. */
function isPicture(value: Value | undefined): boolean {
  const shape = value?.shape;
  return shape?.length === 4 && shape.slice(1).every((dim) => typeof dim === 'number');
}

function conv(node: Node): boolean {
  return isPicture(node.input(0)) && rank(node.input(1)) === 4 && [1, 2].every((i) => constant(node.input(i)));
}

/** [M, K] or [batch, M, K] with constant [K, N] or [N]. */
function matMul(node: Node): boolean {
  const [a, b] = [rank(node.input(0)), rank(node.input(1))];
  return b <= 2 && (a === b || a === b + 1) && constant(node.input(1));
}

/** Its bias is not optional there: the provider reads the shape of the third input in any case. */
function gemm(node: Node): boolean {
  const plain = node.float('alpha', 1) === 1 && node.float('beta', 1) === 1;
  const matrices = [0, 1, 2].every((i) => rank(node.input(i)) < 3);
  return plain && matrices && node.input(2) !== undefined && [1, 2].every((i) => constant(node.input(i)));
}

const rules: Readonly<Record<string, (node: Node) => boolean>> = {
  Conv: conv,
  ConvTranspose: conv,
  MaxPool: (node) => isPicture(node.input(0)),
  AveragePool: (node) => isPicture(node.input(0)),
  MatMul: matMul,
  Gemm: gemm,
  Resize: (node) => rank(node.input(0)) === 4 && node.string('mode') === 'linear',
};
