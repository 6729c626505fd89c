import type { AttrInput } from '../../src/ir/attr.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { int64Vector } from '../../src/ir/tensor.ts';

/**
 * Writes every BiasSoftmax (opset 13 on) as its CUDA kernel works: rows of D numbers; of the bias R rows; with `is_inner_broadcast` row i takes row ⌊i / (N / R)⌋ of the bias, else
 * row i mod R. That is no broadcasting of axes, so it tells whether a rule chose the right one.
 */
export function defineBiasSoftmax(model: Model): void {
  for (const graph of model.graphs()) {
    for (const node of [...graph.nodes]) if (node.op === 'BiasSoftmax') define(node);
  }
}

function define(node: Node): void {
  const { graph } = node;
  const add = (op: string, inputs: Value[], attrs: Record<string, AttrInput> = {}): Value =>
    graph.insertBefore(node, op, { inputs, attrs }).output();
  const ints = (...numbers: number[]): Value => graph.addInitializer('ints', int64Vector(numbers));
  const [scores, bias] = node.inputs as [Value, Value];
  const shape = add('Shape', [scores]);
  const length = add('Gather', [shape, ints(-1)]);
  const rest = ints(-1);
  const biasRows = add('Reshape', [bias, add('Concat', [rest, length], { axis: 0 })]);
  const count = add('Gather', [add('Shape', [biasRows]), ints(0)]);
  const inner = node.int('is_inner_broadcast') === 1;
  const order = inner ? [count, rest, length] : [rest, count, length];
  const rows = add('Reshape', [scores, add('Concat', order, { axis: 0 })]);
  const sum = add('Add', [rows, inner ? add('Unsqueeze', [biasRows, ints(1)]) : biasRows]);
  const weights = add('Softmax', [sum], { axis: -1 });
  node.op = 'Reshape';
  node.domain = '';
  node.attrs.clear();
  node.setInputs([weights, shape]);
}
