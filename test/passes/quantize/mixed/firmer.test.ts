import { expect, it } from 'vitest';
import { mixedPrecision } from '../../../../passes/quantize/mixed-precision.ts';
import { createJudge } from '../../../../src/engine/judge.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import type { MakeJudge } from '../../../../src/pass/judge.ts';
import { TestContext } from '../../../support/context.ts';

const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[8,64] x) => (float[8,64] y) <float[64,64] a = random(1), float[64,64] b = random(2), float[64,64] c = random(3), float[64,64] d = random(4)> {
  h = MatMul (x, a)  i = Relu (h)  j = MatMul (i, b)  k = Relu (j)  l = MatMul (k, c)  m = Relu (l)  y = MatMul (m, d)
}`);

/** Right on every sample that the search sees; on the others only from so many decibels above the first mix on. */
function hidden(more: number): MakeJudge {
  const make = createJudge(undefined, { seed: 0 });
  return async (base, options) => {
    const judge = await make(base, options);
    let first: number | undefined;
    const score: typeof judge.score = async (one, part) => {
      const { sqnrDb } = await judge.score(one, part);
      if (part === 'heldOut') first ??= sqnrDb;
      const drop = part === 'heldOut' && sqnrDb < (first ?? 0) + more ? 1 : 0;
      return { metric: 'top1', value: 1 - drop, base: 1, drop, samples: 8, sqnrDb };
    };
    return Object.assign(Object.create(judge) as typeof judge, {
      source: judge.source,
      provider: judge.provider,
      samples: judge.samples,
      some: judge.some.bind(judge),
      open: judge.open.bind(judge),
      tally: judge.tally.bind(judge),
      nodeTimes: judge.nodeTimes.bind(judge),
      dispose: judge.dispose.bind(judge),
      score,
    });
  };
}

it('a mix that other samples do not confirm is followed by a firmer one, though the search saw no drop', async () => {
  const ctx = new TestContext();
  const notes: string[] = [];
  const step = mixedPrecision({ formats: ['int8-dynamic'], costFrom: 'table' });
  const { changed } = await mixedPrecision.run(model, step.options as never, {
    compute: ctx.compute,
    activations: undefined,
    seed: ctx.seed,
    signal: ctx.signal,
    applied: ctx.applied.bind(ctx),
    skipped: ctx.skipped.bind(ctx),
    judge: hidden(2),
    note: (sentence: string) => void notes.push(sentence),
  });
  expect(changed).toBe(true);
  const verdicts = notes.filter((note) => note.includes('kept apart'));
  expect(verdicts.map((note) => /(kept|missed)$/.exec(note)?.[0])).toEqual(['missed', 'kept']);
  expect(verdicts[0]).toMatch(/^4 int8-dynamic;/);
  expect(verdicts[1]).toMatch(/^[123] int8-dynamic, [123] fp32;/);
  expect(notes.join('\n')).toMatch(/again, with half the drop allowed on the search samples, and \d+\.\d dB at least/);
});
