import { int } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Graph, Node } from '../../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import type { Plan } from './plan.ts';
import type { Unit } from './unit.ts';

/**
 * A convolution whose window is its whole input, and whose result nothing reads on integers, is a Gemm: the last layer of classifiers that pool first (MobileNet
 * as TensorFlow writes it). ONNX Runtime's QLinearConv must round its result to 8 bits, its QGemm hands out floats: the logits of
 * imagenet-mobilenetv1-050 lose nothing by rounding then (16.6 dB at the outputs as a convolution, 18.7 as a Gemm; with gptq 21.6 and 26.8).
 * @param convs those that may be rewritten
 * @returns the new nodes, by the name of what they stand for
 */
export function headsAsGemms(graph: Graph, convs: ReadonlySet<Node>): Map<string, Node> {
  const made = new Map<string, Node>();
  for (const node of convs) {
    const head = readHead(node);
    if (head) made.set(node.output().name, rewrite(graph, node, head));
  }
  return made;
}

/** Convolutions of a plan whose results are read in float alone. */
export function headsOf(plan: Plan): Set<Node> {
  const isHead = (unit: Unit): boolean =>
    unit.node.op === 'Conv' &&
    !unit.clamp &&
    unit.outputs.every(
      (output) =>
        !plan.given.has(output) &&
        output.uses.every(({ node, index }) => !plan.units.get(node)?.inputs.includes(index)),
    );
  return new Set([...plan.units.values()].filter(isHead).map(({ node }) => node));
}

/** Weights as a matrix of [outputs, inputs · positions], where the window is as large as the input. */
function readHead(node: Node): Tensor | undefined {
  if (!node.is('Conv') || node.int('group', 1) !== 1) return undefined;
  if (!['NOTSET', 'VALID', undefined].includes(node.string('auto_pad'))) return undefined;
  const extents = node.input(0)?.shape?.slice(2);
  const weight = node.input(1);
  const tensor = constantOf(weight);
  if (!extents || tensor?.dtype !== 'float32' || weight?.useCount !== 1) return undefined;
  const [outputs = 0, inputs = 0, ...window] = tensor.shape;
  const isWhole = window.length === extents.length && window.every((size, axis) => size === extents[axis]);
  const isSpread = (node.ints('dilations') ?? []).some((dilation, axis) => dilation !== 1 && window[axis] !== 1);
  const isPadded = (node.ints('pads') ?? []).some((pad) => pad !== 0);
  return isWhole && !isSpread && !isPadded
    ? tensorFromBytes('float32', [outputs, inputs * elementCount(window)], tensor.bytes())
    : undefined;
}

/** Flatten, Gemm, Reshape: the first extent, of samples, may be open. */
function rewrite(graph: Graph, conv: Node, weights: Tensor): Node {
  const output = conv.output();
  const { name, type } = output;
  const [outputs = 0, inputs = 0] = weights.shape;
  const batch = conv.input(0)?.shape?.[0];
  const flat = graph.insertBefore(conv, 'Flatten', {
    inputs: [conv.input(0)],
    types: [tensorType('float32', [batch, inputs])],
    attrs: { axis: int(1) },
  });
  const bias = conv.input(2);
  const matrix = addConstant(conv, `${name}_weights`, weights);
  const gemm = graph.insertBefore(conv, 'Gemm', {
    name: conv.name,
    inputs: bias ? [flat.output(), matrix, bias] : [flat.output(), matrix],
    outputs: [graph.freshName(`${name}_flat`)],
    types: [tensorType('float32', [batch, outputs])],
    attrs: { transB: int(1) },
  });
  const shape = int64Vector([0, outputs, ...(conv.input(1)?.shape ?? []).slice(2).map(() => 1)]);
  const shaped = graph.insertBefore(conv, 'Reshape', {
    inputs: [gemm.output(), addConstant(conv, `${name}_shape`, shape)],
    outputs: [graph.freshName(name)],
    types: [type],
  });
  graph.replaceUses(output, shaped.output());
  graph.removeWithUnused(conv);
  output.name = '';
  shaped.output().name = name;
  return gemm;
}
