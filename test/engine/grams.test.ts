import { describe, expect, it } from 'vitest';
import { gramsOf } from '../../src/engine/grams.ts';
import type { Value } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { addGram } from '../../src/kernels/linear-algebra.ts';
import type { Gram } from '../../src/pass/pass.ts';
import { normals } from '../support/synthetic-layer.ts';

const text = `<ir_version: 8, opset_import: ["" : 13]>
g (float[n,6] x) => (float[n,6] y) { h = Neg (x)  i = Neg (h)  y = Neg (i) }`;

async function collect(rows: readonly Float32Array[], names: readonly string[], signal?: AbortSignal) {
  const model = parseModel(text);
  const values = new Map<string, Value>([['x', model.graph.inputs[0] as Value]]);
  for (const node of model.graph.nodes) values.set(node.output().name, node.output());
  const requests = names.map((name) => ({ value: values.get(name) as Value, k: 6 }));
  const batches = () =>
    rows.map((data) => ({ feeds: new Map([['x', tensorFrom('float32', [data.length / 6, 6], data)]]), size: 1 }));
  const grams = new Map<string, Gram>();
  await gramsOf(
    model,
    requests,
    batches,
    (value, gram) => {
      expect(grams.has(value.name)).toBe(false);
      grams.set(value.name, gram);
    },
    signal,
  );
  return grams;
}

const randomRows = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count * 6 }, normals(seed));

describe('sums of squares', () => {
  it('come from every row but a fifth, which is handed over; for graph inputs and inner values', async () => {
    const rows = [randomRows(40, 1), randomRows(25, 2), randomRows(3, 3), randomRows(1, 4)];
    const grams = await collect(rows, ['x', 'h']);
    const all = new Float64Array(36);
    let count = 0;
    for (const data of rows) {
      addGram(all, data, data.length / 6, 6);
      count += data.length / 6;
    }
    for (const name of ['x', 'h']) {
      const gram = grams.get(name) as Gram;
      expect(gram.rows + gram.heldOutRows).toBe(count);
      // Of 40 rows the first eight, of 25 the second five; the stretches of 3 rows and of 1 that are due hold none.
      expect(gram.heldOutRows).toBe(8 + 5);
      expect(gram.nonFinite).toBe(0);
      const sign = name === 'h' ? -1 : 1;
      expect(Array.from(gram.heldOut.subarray(0, 12))).toEqual(Array.from(rows[0] ?? [], (x) => sign * x).slice(0, 12));
      const sum = Float64Array.from(gram.sum);
      addGram(sum, gram.heldOut, gram.heldOutRows, 6);
      for (let i = 0; i < 36; i++) expect(sum[i]).toBeCloseTo(all[i] as number, 3);
    }
  });

  it('hold many rows apart by thinning them out evenly, and sum many in pieces', async () => {
    const rows = Array.from({ length: 10 }, (_, at) => randomRows(1500, at + 1));
    const gram = (await collect(rows, ['h'])).get('h') as Gram;
    expect(gram.rows).toBe(12_000);
    // 3000 rows held out: every second, then every fourth, then every eighth of them.
    expect(gram.heldOutRows).toBe(375);
    const want = [];
    for (const [batch, data] of rows.entries())
      for (let row = 300 * (batch % 5); row < 300 * ((batch % 5) + 1); row++) want.push(-(data[row * 6] as number));
    expect(Array.from({ length: 375 }, (_, row) => gram.heldOut[row * 6])).toEqual(
      want.filter((_, at) => at % 8 === 0),
    );
    expect((gram.sum[0] as number) / 12_000).toBeCloseTo(1, 1);
  });

  it('leave out rows that are not finite, and count them', async () => {
    const data = randomRows(20, 5);
    data[7 * 6 + 2] = Number.NaN;
    data[19 * 6] = Number.POSITIVE_INFINITY;
    const gram = (await collect([data], ['h'])).get('h') as Gram;
    expect(gram.nonFinite).toBe(2);
    expect(gram.rows).toBe(14);
    expect(gram.sum.every(Number.isFinite)).toBe(true);
  });

  it('stop when told', async () => {
    await expect(collect([randomRows(4, 1)], ['h'], AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('layer by layer', () => {
  const chain = `<ir_version: 8, opset_import: ["" : 13]>
g (float[n,6] x, float[6] bias) => (float[n,6] y) <float[6,6] a = random(1), float[6,6] b = random(2), float[6,6] c = random(3), int64[2] shape = {-1, 6}> {
  s = Shape (x)
  h1 = MatMul (x, a)
  h2 = Add (h1, bias)
  two = Constant <value = float[1] {2}> ()
  b2 = Mul (b, two)
  h3 = MatMul (h2, b2)
  h4 = Reshape (h3, s)
  r = Add (h4, h2)
  y = MatMul (r, c)
}`;

  it('later values are observed with the weights that stand in by then, and what goes around a layer is kept', async () => {
    const model = parseModel(chain);
    const values = new Map<string, Value>();
    for (const value of [...model.graph.inputs, ...model.graph.initializers]) values.set(value.name, value);
    for (const node of model.graph.nodes) values.set(node.output().name, node.output());
    const named = (name: string): Value => values.get(name) as Value;
    const data = [randomRows(50, 1), randomRows(30, 2)];
    const bias = tensorFrom('float32', [6], Float32Array.of(1, 2, 3, 4, 5, 6));
    let reads = 0;
    const batches = () => {
      reads++;
      return data.map((rows) => ({
        feeds: new Map([
          ['x', tensorFrom('float32', [rows.length / 6, 6], rows)],
          ['bias', bias],
        ]),
        size: 1,
      }));
    };
    const zeros = tensorFrom('float32', [6, 6], new Float32Array(36));
    const run = async (sequential: boolean) => {
      const seen: string[] = [];
      const grams = new Map<string, Gram>();
      await gramsOf(
        model,
        ['r', 'x', 'h2'].map((name) => ({ value: named(name), k: 6 })),
        batches,
        (value, gram) => {
          seen.push(value.name);
          grams.set(value.name, gram);
          return value.name === 'h2' ? new Map([[named('b'), zeros]]) : undefined;
        },
        undefined,
        { sequential },
      );
      expect(seen).toEqual(['x', 'h2', 'r']);
      return grams;
    };
    const together = await run(false);
    expect(reads).toBe(1);
    const staged = await run(true);
    expect(reads).toBe(2);
    expect(staged.get('h2')?.sum).toEqual(together.get('h2')?.sum);
    // Without its layer only what goes around it is left.
    expect(staged.get('r')?.sum).toEqual(staged.get('h2')?.sum);
    expect(staged.get('r')?.heldOut).toEqual(staged.get('h2')?.heldOut);
    expect(together.get('r')?.sum[0]).not.toBeCloseTo(together.get('h2')?.sum[0] as number, 1);
  });
});
