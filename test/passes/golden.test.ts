import { describe, expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { syntheticFeeds } from '../../src/engine/feeds.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import type { Pass } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { differential, edgeFeeds } from '../support/differential.ts';
import { type GoldenCase, readCases, structure } from '../support/golden.ts';
import { type Feeds, runOrt } from '../support/ort.ts';

const cases = readCases();

async function runPass(model: Model, pass: Pass, { options, explain }: GoldenCase) {
  const known = Object.fromEntries(Object.entries(pass.options).map(([name, option]) => [name, option.default]));
  const unknown = Object.keys(options).filter((name) => !(name in known));
  expect(unknown, 'options the pass does not have').toEqual([]);
  const values = { ...known, ...options };
  const [trace] = await runSteps(model, [{ pass, options: values }], { context: new TestContext({ explain }) });
  if (!trace) throw new Error('no trace');
  return { trace, numerics: pass.numerics(values as never) };
}

/** What `madeUpActivations` of the test context has seen. */
async function madeUpFeeds(model: Model): Promise<Feeds[]> {
  const session = await openModel(model);
  try {
    return (await syntheticFeeds(model, session, { seed: 1, count: 8 })).map((batch) => batch.feeds);
  } finally {
    await session.dispose();
  }
}

async function check(golden: GoldenCase): Promise<void> {
  const pass = passes.find((candidate) => candidate.id === golden.pass);
  if (!pass) throw new Error(`there is no pass "${golden.pass}"`);
  const before = parseModel(golden.before);
  expect(verify(before), 'problems before').toEqual([]);
  const model = cloneModel(before);
  const { trace, numerics } = await runPass(model, pass, golden);
  expect(verify(model), 'problems after').toEqual([]);
  expect(structure(model)).toBe(structure(golden.after === undefined ? before : parseModel(golden.after)));
  expect(trace.changed).toBe(golden.after !== undefined);
  if (golden.applied) expect(trace.applied).toEqual(golden.applied);
  for (const { rule, why } of golden.skipped ?? []) {
    const reasons = trace.skipped.filter((entry) => entry.rule === rule).map((entry) => entry.why);
    expect(
      reasons.some((reason) => reason.includes(why)),
      `${rule}: "${why}" among ${JSON.stringify(trace.skipped)}`,
    ).toBe(true);
  }
  if (golden.skipped?.length === 0) expect(trace.skipped).toEqual([]);

  const once = structure(model);
  const second = await runPass(model, pass, golden);
  expect(second.trace.applied, 'the second run does something').toEqual({});
  expect(second.trace.changed).toBe(false);
  expect(structure(model)).toBe(once);

  const feeds =
    golden.feeds === 'made-up' ? await madeUpFeeds(before) : edgeFeeds(before, 7, golden.dims, golden.values);
  if (golden.ortCannot !== undefined) {
    await expect(runOrt(before, feeds), 'the runtime can run it now: remove the "ort" line').rejects.toThrow();
  } else if (golden.after === undefined) await runOrt(before, feeds);
  else expect(await differential(before, model, feeds, numerics)).toEqual([]);
}

describe('golden cases', () => {
  for (const golden of cases) {
    it(`${golden.pass}/${golden.name}: ${golden.title}`, () => check(golden));
  }

  it('are negative for at least a third of each pass, with a reason', () => {
    for (const pass of new Set(cases.map((golden) => golden.pass))) {
      const own = cases.filter((golden) => golden.pass === pass);
      const negative = own.filter((golden) => golden.after === undefined && (golden.skipped?.length ?? 0) > 0);
      expect(negative.length / own.length, `${pass}: ${negative.length} of ${own.length}`).toBeGreaterThanOrEqual(
        1 / 3,
      );
    }
  });

  it('fire every rule of the fuse pass', () => {
    const fired = new Set(
      cases.filter((golden) => golden.pass === 'fuse').flatMap((golden) => Object.keys(golden.applied ?? {})),
    );
    const rules = Object.keys(passes.find((pass) => pass.id === 'fuse')?.rules ?? {});
    expect(rules.filter((rule) => !fired.has(rule))).toEqual([]);
  });
});
