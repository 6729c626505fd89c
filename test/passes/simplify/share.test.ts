import { describe, expect, it } from 'vitest';
import { Graph, Model } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { printModel } from '../../../src/ir/text/print.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { verify } from '../../../src/ir/verify.ts';
import { shareInitializers } from '../../../src/rewrite/share-initializers.ts';

/** A tensor that is not in memory: counts what is read, in pieces of its own size. */
function external(values: Float32Array, piece: number): Tensor & { read: number } {
  const inner = tensorFrom('float32', [values.length], values);
  const tensor = {
    dtype: inner.dtype,
    shape: inner.shape,
    byteLength: inner.byteLength,
    read: 0,
    bytes(): Uint8Array {
      throw new Error('read whole');
    },
    *chunks() {
      for (let at = 0; at < inner.byteLength; at += piece) {
        const part = inner.bytes().subarray(at, at + piece);
        tensor.read += part.length;
        yield part;
      }
    },
  };
  return tensor;
}

function summing(tensors: readonly Tensor[]): Model {
  const graph = new Graph('g');
  const model = new Model(graph, 17);
  let x = graph.addInput('x', tensorType('float32', ['N']));
  for (const tensor of tensors) x = graph.append('Add', { inputs: [x, graph.addInitializer('w', tensor)] }).output();
  graph.addOutput(x);
  return model;
}

describe('shareInitializers', () => {
  it('reads lazily: whole only where the beginnings agree', () => {
    const n = 100_000;
    const a = Float32Array.from({ length: n }, (_, i) => i);
    const almost = a.slice();
    almost[n - 1] = -1;
    const tensors = [
      external(a, 65_536),
      external(a, 10_000),
      external(almost, 65_536),
      external(
        Float32Array.from(a, (v) => v + 1),
        65_536,
      ),
      external(a.slice(1), 65_536),
    ];
    const model = summing(tensors);
    expect(shareInitializers(model)).toBe(true);
    expect([...model.graph.initializers].map((value) => value.name)).toEqual(['w', 'w_2', 'w_3', 'w_4']);
    expect(tensors.slice(0, 3).every((tensor) => tensor.read >= 4 * n)).toBe(true);
    expect(tensors[3]?.read).toBeLessThanOrEqual(65_536);
    expect(tensors[4]?.read).toBe(0);
    expect(shareInitializers(model)).toBe(false);
  });

  it('keeps apart what differs in type, shape or the sign of zero', () => {
    const model = summing([
      tensorFrom('float32', [1], Float32Array.of(0)),
      tensorFrom('float32', [1], Float32Array.of(-0)),
      tensorFrom('float32', [], Float32Array.of(0)),
      tensorFrom('int32', [1], Int32Array.of(0)),
    ]);
    expect(shareInitializers(model)).toBe(false);
    expect(model.graph.initializers.size).toBe(4);
  });

  it('moves large constants of two branches to the main graph, and leaves small ones', () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[300] x, bool c) => (float[300] y)
{
  y = If (c) <
    then_branch = yes () => (float[300] t) < float[300] w = range(1), float s = {2} > {
      p = Mul (x, w)
      t = Mul (p, s)
    },
    else_branch = no () => (float[300] e) < float[300] v = range(1), float r = {2} > {
      q = Add (x, v)
      e = Mul (q, r)
    }>
}`);
    expect(shareInitializers(model)).toBe(true);
    expect(verify(model)).toEqual([]);
    expect([...model.graph.initializers].map((value) => value.name)).toEqual(['w_1']);
    expect(printModel(model)).toMatch(/Mul \(x, w_1\)[^]*Add \(x, w_1\)/);
    expect(shareInitializers(model)).toBe(false);
  });
});
