import { Graph, Model } from '../ir/graph.ts';
import { type Tensor, tensorFrom } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import { encodeModel } from '../onnx/encode.ts';

/** The smallest thing worth trying a provider on: y = relu(x · w), x float32[1, 4], w float32[4, 4]. */
export function tinyModel(): { bytes: Uint8Array; feeds: ReadonlyMap<string, Tensor>; expected: readonly number[] } {
  const graph = new Graph('tiny');
  const x = graph.addInput('x', tensorType('float32', [1, 4]));
  const w = graph.addInitializer(
    'w',
    tensorFrom(
      'float32',
      [4, 4],
      Float32Array.from({ length: 16 }, (_, at) => (at % 5 === 0 ? 2 : 0)),
    ),
  );
  const product = graph.append('MatMul', {
    inputs: [x, w],
    outputs: ['product'],
    types: [tensorType('float32', [1, 4])],
  });
  const relu = graph.append('Relu', {
    inputs: [product.output()],
    outputs: ['y'],
    types: [tensorType('float32', [1, 4])],
  });
  graph.addOutput(relu.output());
  const feeds = new Map([['x', tensorFrom('float32', [1, 4], Float32Array.of(1, -2, 3, -4))]]);
  return { bytes: encodeModel(new Model(graph, 17, 8)), feeds, expected: [2, 0, 6, 0] };
}
