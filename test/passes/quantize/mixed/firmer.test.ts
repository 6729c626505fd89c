import { expect, it } from 'vitest';
import { mixedPrecision } from '../../../../passes/quantize/mixed-precision.ts';
import { createJudge } from '../../../../src/engine/judge.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import type { Model, Node } from '../../../../src/ir/graph.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import type { JudgedPart, MakeJudge } from '../../../../src/pass/judge.ts';
import { TestContext } from '../../../support/context.ts';

const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[8,64] x) => (float[8,64] y) <float[64,64] a = random(1), float[64,64] b = random(2), float[64,64] c = random(3), float[64,64] d = random(4)> {
  h = MatMul (x, a)  i = Relu (h)  j = MatMul (i, b)  k = Relu (j)  l = MatMul (k, c)  m = Relu (l)  y = MatMul (m, d)
}`);

/** Drops that a test makes up, in place of the task's. */
type Drops = (model: Model, part: JudgedPart, sqnrDb: number) => number;

function judged(drops: Drops): MakeJudge {
  const make = createJudge(undefined, { seed: 0 });
  return async (base, options) => {
    const judge = await make(base, options);
    const score: typeof judge.score = async (one, part) => {
      const { sqnrDb } = await judge.score(one, part);
      const drop = drops(one, part, sqnrDb);
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
      fixed: judge.fixed.bind(judge),
      left: judge.left.bind(judge),
      score,
    });
  };
}

/** Right on every sample that the search sees; on the others only from so many decibels above the first mix on. */
function hidden(more: number): MakeJudge {
  let first: number | undefined;
  return judged((_, part, sqnrDb) => {
    if (part === 'heldOut') first ??= sqnrDb;
    return part === 'heldOut' && sqnrDb < (first ?? 0) + more ? 1 : 0;
  });
}

/** Runs the search over four layers. @returns whether it changed the model, and what it said */
async function mixOf(judge: MakeJudge): Promise<{ changed: boolean; notes: string[]; left: string[] }> {
  const ctx = new TestContext();
  const notes: string[] = [];
  const left: string[] = [];
  const step = mixedPrecision({ formats: ['int8-dynamic'], costFrom: 'table' });
  const { changed } = await mixedPrecision.run(cloneModel(model), step.options as never, {
    compute: ctx.compute,
    activations: undefined,
    seed: ctx.seed,
    signal: ctx.signal,
    applied: ctx.applied.bind(ctx),
    skipped: (rule: string, node: Node | string, why: string) => void left.push(`${rule} ${node}: ${why}`),
    judge,
    note: (sentence: string) => void notes.push(sentence),
  });
  return { changed, notes, left };
}

it('a mix that other samples do not confirm is followed by a firmer one, though the search saw no drop', async () => {
  const { changed, notes } = await mixOf(hidden(2));
  expect(changed).toBe(true);
  const verdicts = notes.filter((note) => note.includes('kept apart'));
  expect(verdicts.map((note) => /(kept|missed)$/.exec(note)?.[0])).toEqual(['missed', 'kept']);
  expect(verdicts[0]).toMatch(/^4 int8-dynamic;/);
  expect(verdicts[1]).toMatch(/^[123] int8-dynamic, [123] fp32;/);
  expect(notes.join('\n')).toMatch(/again, with half the drop allowed on the search samples, and \d+\.\d dB at least/);
});

it('restoring a layer costs no mix: where other samples do not bear it, what held the floor before is looked at', async () => {
  // The search sees that the second layer alone has to be in float; on the others the first has to be, too.
  const floats = (one: Model): string[] =>
    [...one.graph.nodes].flatMap(({ op, outputs: [output] }) => (op === 'MatMul' && output ? [output.name] : []));
  let worst: string | undefined;
  const { changed, notes, left } = await mixOf(
    judged((one, part) => {
      const own = floats(one);
      if (own.length === 1) worst ??= own[0];
      const ok = part === 'search' ? own.some((name) => name !== worst) : own.length >= 2;
      return ok ? 0 : 1;
    }),
  );
  expect(changed).toBe(true);
  expect(notes.some((note) => note.endsWith('→ int8-dynamic, the floor holds without it'))).toBe(true);
  const verdicts = notes.filter((note) => note.includes('kept apart'));
  expect(verdicts.map((note) => note.slice(0, 23))).toEqual(['3 int8-dynamic, 1 fp32;', '2 int8-dynamic, 2 fp32;']);
  expect(verdicts[1]).toMatch(/kept$/);
  // Why they stay in float is what put them there.
  expect(left.filter((why) => why.startsWith('float'))).toHaveLength(2);
  expect(left.join()).not.toContain('the floor holds without it');
});

it('where steps before have spent the floor nothing is searched for, and where they left some of it that is what counts', async () => {
  const withLeft = (left: number): MakeJudge => {
    const make = judged(() => 0.004);
    return async (base, options) => Object.assign(await make(base, options), { left: async () => left });
  };
  const spent = await mixOf(withLeft(-0.002));
  expect(spent.changed).toBe(false);
  expect(spent.left).toEqual([
    'mixed-precision model: what was done to the model before has lost 0.0020 more than the floor allows (a drop of 0.01), so nothing is left to spend',
  ]);
  const some = await mixOf(withLeft(0.005));
  expect(some.notes[1]).toMatch(/^of the allowed drop \(0\.01\) what was done to the model before left 0\.0050/);
  expect(some.notes.at(-1)).toMatch(/^4 int8-dynamic;.*drop 0\.0040 of 0\.005 allowed.*kept$/);
  expect((await mixOf(withLeft(0.003))).changed).toBe(false);
});
