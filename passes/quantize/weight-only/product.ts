import { Graph, Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Product32 } from '../../../src/kernels/gptq.ts';
import { multiply } from '../../../src/kernels/linear-algebra.ts';
import type { Product64 } from '../../../src/kernels/matrix-blocks.ts';
import type { Compute } from '../../../src/pass/pass.ts';

/** Matrix products in either precision. */
export interface Products {
  readonly float32: Product32;
  readonly float64: Product64;
}

/** Multiplications from which opening a session pays. */
const worthASession = 4e6;

/** Matrix products: a loop for small ones, the runtime for the others. */
export function products(compute: Compute): Products {
  const models = new Map<string, Model>();
  const run = async (
    dtype: 'float32' | 'float64',
    a: Float32Array | Float64Array,
    b: Float32Array | Float64Array,
    m: number,
    k: number,
    n: number,
  ) => {
    const model = models.get(dtype) ?? productModel(dtype);
    models.set(dtype, model);
    const feeds = new Map([
      ['a', tensorFrom(dtype, [m, k], a)],
      ['b', tensorFrom(dtype, [k, n], b)],
    ]);
    return (await compute.run(model, feeds, { again: true })).get('c');
  };
  return {
    async float32(a, b, m, k, n) {
      if (m * k * n < worthASession) return multiply(a, b, m, k, n, Float32Array);
      const c = await run('float32', a, b, m, k, n);
      return c ? typedArray(c, 'float32') : multiply(a, b, m, k, n, Float32Array);
    },
    async float64(a, b, m, k, n) {
      if (m * k * n < worthASession) return multiply(a, b, m, k, n, Float64Array);
      const c = await run('float64', a, b, m, k, n);
      return c ? typedArray(c, 'float64') : multiply(a, b, m, k, n, Float64Array);
    },
  };
}

/** c = a·b, of any size. */
function productModel(dtype: 'float32' | 'float64'): Model {
  const graph = new Graph('product');
  const inputs = [
    graph.addInput('a', tensorType(dtype, ['m', 'k'])),
    graph.addInput('b', tensorType(dtype, ['k', 'n'])),
  ];
  const node = graph.append('MatMul', { inputs, outputs: ['c'], types: [tensorType(dtype, ['m', 'n'])] });
  graph.addOutput(node.output());
  return new Model(graph, 17, 8);
}
