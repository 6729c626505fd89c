import { describe, expect, it } from 'vitest';
import { keepForFidelity } from '../../../passes/quantize/fp16/fidelity.ts';
import { toFp16 } from '../../../passes/quantize/to-fp16.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { TestContext } from '../../support/context.ts';
import { calmFillings, edgeFeeds, violations } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

const head = (body: string): string => `<ir_version: 8, opset_import: ["" : 13]>\n${body}`;

/** 900 comes on top and goes again: half has three digits left of what there was. */
const cancelling =
  head(`g (float[4,16] x, bool c) => (float[4,16] y) <float k = {900}, float[16,16] w = random(1), float[16,16] v = random(2)> {
  t = Tanh (x)  [up] a = Add (t, k)  [down] s = Sub (a, k)  m = MatMul (s, w)  r = Relu (m)
  y = If <then_branch = a1 () => (float[4,16] p) { p = MatMul (r, v) }, else_branch = a2 () => (float[4,16] q) { [up2] u = Add (r, k)  [down2] q = Sub (u, k) }> (c)
}`);

async function convert(text: string, options: Parameters<typeof toFp16>[0]) {
  const model = parseModel(text);
  const ctx = new TestContext();
  const result = await toFp16.run(model, toFp16(options).options as never, ctx);
  expect(verify(model)).toEqual([]);
  return { model, ...result, ctx };
}

describe('to-fp16 --min-sqnr', () => {
  it('keeps the few nodes in float32 that cost the digits, inside branches too, and names them', async () => {
    const before = parseModel(cancelling);
    const feeds = edgeFeeds(before, 3, {}, {}, calmFillings.slice(0, 1));
    const [want] = await runOrt(before, feeds);
    const { model, ctx } = await convert(cancelling, { minSqnr: 60 });
    const kept = ctx.skips.filter(({ rule }) => rule === 'fidelity');
    expect(kept.map(({ node }) => node)).toEqual(expect.arrayContaining(['Add "up"', 'Sub "down"']));
    expect(kept.some(({ node }) => node.startsWith('MatMul'))).toBe(false);
    expect(kept[0]?.why).toMatch(
      /with it alone in float16 the outputs have -?[\d.]+ dB; all that are left in float16 reach 60 dB without it \(--min-sqnr\)/,
    );
    expect(ctx.counts()).toMatchObject({ fidelity: 1, half: expect.any(Number) });
    for (const level of ['disabled', 'all'] as const) {
      const [got] = await runOrt(model, feeds, level);
      expect(
        violations(want as never, got as never, toFp16.numerics({ ...toFp16().options, minSqnr: 60 } as never)),
      ).toEqual([]);
    }
  });

  it('sees what a transposition in half takes from its readers in float32', async () => {
    const { ctx } = await convert(
      head(`g (float[4,16] x) => (float[16,4] y, float[16,4] z, float[16,16] w) <float k = {900}, float[4,16] v = random(1)> {
  h = Tanh (x)  [up] a = Add (h, k)  t = Transpose (a)  [down] y = Sub (t, k)  [beside] z = Relu (t)  [product] w = MatMul (y, v)
}`),
      { minSqnr: 60 },
    );
    const kept = ctx.skips.filter(({ rule }) => rule === 'fidelity').map(({ node }) => node);
    expect(kept).toEqual(expect.arrayContaining(['Add "up"', 'Sub "down"', 'Relu "beside"']));
    expect(kept).not.toContain('MatMul "product"');
    expect(ctx.counts().half).toBe(2);
  });

  it('takes the best plan it saw where no plan reaches the target, unless that is more than 10 dB below', async () => {
    const model = parseModel(
      head('g (float[4] x) => (float[4] y) { a = Relu (x)  b = Relu (a)  c = Relu (b)  y = Relu (c) }'),
    );
    const half = [0, 1, 2, 3];
    const search = (minSqnr: number, saves: (kept: ReadonlySet<number>) => boolean) => {
      let kept = 0;
      // Alone, the first node is the noisiest. Together, keeping the first two is best, and keeping more is worse again.
      const statistics = { sqnr: () => Promise.resolve(new Map([['y', [40, 52, 57, 51][kept] ?? 0]])) };
      return keepForFidelity(
        model,
        half,
        statistics as never,
        (_, set) => {
          kept = set.size;
        },
        { minSqnr, samples: 1, saves, signal: new AbortController().signal },
      );
    };
    const any = await search(60, () => true);
    expect([...any.kept.keys()]).toEqual([0, 1]);
    expect(any).toMatchObject({ before: 40, after: 57, best: 57 });
    expect((await search(60, (kept) => kept.size < 2)).after).toBe(52);
    expect((await search(70, () => true)).kept.size).toBe(4);
  });

  it('changes nothing about a model that reaches it, and leaves one in float32 that cannot', async () => {
    const easy = head(
      'g (float[4,4] x) => (float[4,4] y) <float[4,4] w = random(1)> { m = MatMul (x, w)  y = Relu (m) }',
    );
    const [plain, measured] = [await convert(easy, {}), await convert(easy, { minSqnr: 50 })];
    expect(measured.ctx.skips).toEqual([]);
    expect(measured.ctx.counts()).toEqual({ ...plain.ctx.counts(), fidelity: 1 });
    const model = parseModel(easy);
    const ctx = new TestContext();
    const { changed } = await toFp16.run(model, toFp16({ minSqnr: 120 }).options as never, ctx);
    expect(changed).toBe(false);
    expect(ctx.skips.map(({ rule }) => rule)).toEqual(['fidelity', 'fidelity', 'fidelity']);
    expect(ctx.skips[0]?.why).toMatch(/^every node stays in float32: .* the best reaches \d+\.\d dB$/);
    expect(cloneModel(model).graph.nodeCount).toBe(2);
  });
});
