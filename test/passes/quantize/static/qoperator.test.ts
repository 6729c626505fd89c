import { describe, expect, it } from 'vitest';
import { constantScalar } from '../../../../src/ir/constant.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { toNumbers } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { countOps } from '../../../support/count-ops.ts';
import { runOrt } from '../../../support/ort.ts';
import { image, imageOut, rows } from './fusion-rows.ts';
import { calmFeeds, head, quantize } from './support.ts';

/** The scale of the output, where it is dequantized. */
function outputStep(model: Model): number {
  const node = model.graph.outputs[0]?.producer;
  return node?.op === 'DequantizeLinear' ? (constantScalar(node.input(1)) ?? 0) : 1e-5;
}

describe('quantize-static --format qoperator', () => {
  for (const row of rows) {
    it(row.name, async () => {
      const text = head(
        row.opset ?? 13,
        `g (${row.input ?? image} x) => (${row.output ?? imageOut} y) <${row.constants}> { ${row.body} }`,
      );
      const [qdq, qoperator] = [parseModel(text), parseModel(text)];
      await quantize(qdq, row.options);
      const { counts } = await quantize(qoperator, { ...row.options, format: 'qoperator' });
      expect(counts.qoperator).toBe(1);
      expect(verify(qoperator)).toEqual([]);
      const bare = Object.entries(countOps(qoperator)).map(([op, count]) => [op.split(/[.:]/).at(-1), count] as const);
      // The runtime itself makes a QGemm of a MatMul and an Add.
      const wanted = row.body.includes('MatMul') && row.fused.QGemm ? { MatMulIntegerToFloat: 1 } : row.fused;
      expect(Object.fromEntries(bare)).toMatchObject(wanted);
      const feeds = calmFeeds(parseModel(text));
      // The same kernels on the same codes: nothing but ties may round the other way.
      const expected = await runOrt(qdq, feeds, 'extended');
      for (const level of ['disabled', 'extended'] as const) {
        const actual = await runOrt(qoperator, feeds, level);
        for (const [index, want] of expected.entries()) {
          const a = (toNumbers(want.get('y') as never) ?? []).map(Number);
          const b = (toNumbers(actual[index]?.get('y') as never) ?? []).map(Number);
          expect(b).toHaveLength(a.length);
          const worst = a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number))), 0);
          expect(worst).toBeLessThanOrEqual(outputStep(qdq) * 1.001);
        }
      }
    });
  }

  it('keeps a symmetric Relu, which codes below zero would pass', async () => {
    const text = head(
      13,
      `g (${image} x) => (float[1,4,8,8] y) <float[4,4,1,1] w = random(1)> { c = Conv (x, w)  y = Relu (c) }`,
    );
    const model = parseModel(text);
    await quantize(model, { format: 'qoperator', symmetric: true });
    expect(countOps(model)).toMatchObject({ Conv: 1, Relu: 1 });
  });

  it('refuses 16 bits, and is not run twice', async () => {
    const text = head(13, `g (${image} x) => (float[1,4,8,8] y) <float[4,4,1,1] w = random(1)> { y = Conv (x, w) }`);
    await expect(quantize(parseModel(text), { format: 'qoperator', activations: 'u16' })).rejects.toMatchObject({
      code: 'option.value',
    });
    const model = parseModel(text);
    await quantize(model, { format: 'qoperator' });
    expect((await quantize(model, { format: 'qoperator' })).changed).toBe(false);
  });
});
