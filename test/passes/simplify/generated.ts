import { Graph, Model, type Value } from '../../../src/ir/graph.ts';
import { int64Vector, tensorFrom } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';

/**
 * Blocks as exporters write them: weights, shape arithmetic, there-and-back transposes, constants to fold, and nodes that
 * repeat. About 20 nodes a block, of which 4 are needed.
 */
export function generated(nodes: number): Model {
  const graph = new Graph('generated');
  const model = new Model(graph, 17);
  let x: Value = graph.addInput('x', tensorType('float32', ['batch', 8, 16]));
  const constant = (name: string, values: readonly number[]) => graph.addInitializer(name, int64Vector(values));
  const make = (op: string, inputs: readonly Value[], attrs = {}): Value =>
    graph.append(op, { inputs, attrs }).output();
  for (let block = 0; graph.nodeCount < nodes; block++) {
    const weight = graph.addInitializer(
      'w',
      tensorFrom(
        'float32',
        [16, 16],
        Float32Array.from({ length: 256 }, (_, i) => Math.sin(i + block)),
      ),
    );
    const product = make('MatMul', [x, make('Identity', [weight])]);
    const shape = make('Shape', [product]);
    const batch = make('Gather', [shape, constant('zero', [0])]);
    const size = make('Mul', [make('Gather', [shape, constant('one', [1])]), constant('two', [2])]);
    const target = make('Concat', [batch, size, constant('rest', [-1])], { axis: 0 });
    const narrow = make('Reshape', [product, target]);
    const back = make('Reshape', [
      narrow,
      make('Concat', [make('Gather', [make('Shape', [x]), constant('first', [0])]), constant('tail', [8, 16])], {
        axis: 0,
      }),
    ]);
    const there = make('Transpose', [back], { perm: [0, 2, 1] });
    const again = make('Transpose', [there], { perm: [0, 2, 1] });
    const bias = make('Mul', [weight, weight]);
    const row = make('ReduceSum', [bias, constant('axis', [0])], { keepdims: 0 });
    const sum = make('Add', [make('Relu', [again]), row]);
    const same = make('Add', [make('Relu', [again]), row]);
    x = make('Max', [sum, same]);
  }
  graph.addOutput(
    graph
      .append('Identity', { inputs: [x], outputs: ['y'], types: [tensorType('float32', ['batch', 8, 16])] })
      .output(),
  );
  return model;
}
