import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { variantBuilder } from '../../src/cli/optimize/build.ts';
import { createJudge } from '../../src/engine/judge.ts';
import type { Model } from '../../src/ir/graph.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import type { MakeJudge } from '../../src/pass/judge.ts';
import { definePass, exact, lossy, type Numerics } from '../../src/pass/pass.ts';
import { TestContext } from '../support/context.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mlpack-builder-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const text = `<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x) => (float[2] y) { y = Relu (x) }`;

/** A pass that counts its runs, notes the judge that it was given, and appends a node where it is told to. */
function counting(id: string, numerics: Numerics, changes = true) {
  const runs: (MakeJudge | undefined)[] = [];
  const make = definePass({
    id,
    summary: id,
    options: {},
    rules: {},
    numerics: () => numerics,
    run(model, _, ctx) {
      runs.push(ctx.judge);
      if (changes) model.meta.set(id, 'done');
      return { changed: changes };
    },
  });
  return { runs, step: make({}) };
}

test('a later call goes on from the steps of an earlier one, and knows its files', async () => {
  const base = parseModel(text);
  const first = counting('first', lossy(10));
  const [rounding, nothing] = [counting('rounding', lossy(10)), counting('nothing', lossy(10), false)];
  const { compute, activations, signal, seed } = new TestContext();
  const build = variantBuilder(base, {
    folder,
    context: { compute, activations, signal, seed },
    onStep: () => undefined,
    warn: () => undefined,
  });
  const built = await build([
    { name: 'base', steps: [] },
    { name: 'narrow', steps: [first.step] },
    { name: 'narrow-int8', steps: [first.step, rounding.step] },
  ]);
  expect(built.map(({ blockers }) => blockers)).toEqual([[], [], []]);
  const [again] = await build([{ name: 'narrow-mixed', steps: [first.step, nothing.step] }]);
  expect(first.runs).toHaveLength(1);
  expect(again?.blockers).toEqual(['nothing changed nothing, the file would equal narrow']);
});

test('what follows steps that lost something is judged against the model as it came', async () => {
  const base = parseModel(text);
  const [tidy, narrow] = [counting('tidy', exact), counting('narrow', lossy(10))];
  const [last, other] = [counting('last', lossy(10)), counting('other', lossy(10))];
  const { compute, activations, signal, seed } = new TestContext();
  const origins: (Model | undefined)[] = [];
  const made = createJudge(undefined, { seed });
  const judge: MakeJudge = (model, options) => {
    origins.push(options?.origin);
    return made(model, options);
  };
  const build = variantBuilder(base, {
    folder: join(folder, 'judged'),
    context: { compute, activations, signal, seed, judge },
    onStep: () => undefined,
    warn: () => undefined,
  });
  await build([
    { name: 'a', steps: [tidy.step, other.step] },
    { name: 'b', steps: [tidy.step, narrow.step, last.step] },
  ]);
  expect(other.runs).toEqual([judge]);
  expect(narrow.runs).toEqual([judge]);
  const [ofLast] = last.runs;
  await (await ofLast?.(base))?.dispose();
  expect(origins).toEqual([base]);
});

test('behind a step that changed nothing the next one is not run again', async () => {
  const [idle, first, second] = [
    counting('idle', lossy(10), false),
    counting('first', lossy(10)),
    counting('second', exact),
  ];
  const { compute, activations, signal, seed } = new TestContext();
  const build = variantBuilder(parseModel(text), {
    folder,
    context: { compute, activations, signal, seed },
    onStep: () => undefined,
    warn: () => undefined,
  });
  const [plain, twin, further] = await build([
    { name: 'plain', steps: [first.step] },
    { name: 'twin', steps: [idle.step, first.step] },
    { name: 'further', steps: [idle.step, first.step, second.step] },
  ]);
  expect([idle, first, second].map(({ runs }) => runs.length)).toEqual([1, 1, 1]);
  expect(plain?.blockers).toEqual([]);
  expect(twin?.blockers).toEqual(['idle changed nothing, the file would equal plain']);
  expect(twin?.steps.map(({ pass }) => pass)).toEqual(['idle', 'first']);
  expect([further?.blockers, further?.steps.map(({ pass }) => pass)]).toEqual([[], ['idle', 'first', 'second']]);
});
