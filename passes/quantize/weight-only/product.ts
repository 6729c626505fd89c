import { Graph, Model } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { multiply } from '../../../src/kernels/linear-algebra.ts';
import type { Compute } from '../../../src/pass/pass.ts';

/** a [m, k] · b [k, n] → [m, n] */
export type Product = (a: Float32Array, b: Float32Array, m: number, k: number, n: number) => Promise<Float32Array>;

/** Multiplications from which opening a session pays. */
const worthASession = 2e7;

/** Matrix products: a loop for small ones, the runtime for the others. */
export function products(compute: Compute): Product {
  return async (a, b, m, k, n) => {
    if (m * k * n < worthASession) return multiply(a, b, m, k, n);
    const graph = new Graph('product');
    const inputs = [
      graph.addInput('a', tensorType('float32', [m, k])),
      graph.addInput('b', tensorType('float32', [k, n])),
    ];
    const node = graph.append('MatMul', { inputs, outputs: ['c'], types: [tensorType('float32', [m, n])] });
    graph.addOutput(node.output());
    const feeds = new Map([
      ['a', tensorFrom('float32', [m, k], a)],
      ['b', tensorFrom('float32', [k, n], b)],
    ]);
    const outputs = await compute.run(new Model(graph, 17, 8), feeds);
    const c = outputs.get('c');
    return c ? typedArray(c, 'float32') : multiply(a, b, m, k, n);
  };
}
