import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { readCases } from '../../support/golden.ts';
import { differences, runPlain } from './exact.ts';

const cases = readCases().filter((golden) => golden.pass === 'simplify');

describe('golden cases keep every bit, the sign of zero included', () => {
  for (const golden of cases) {
    if (golden.after === undefined || golden.ortCannot !== undefined) continue;
    it(golden.name, async () => {
      const before = parseModel(golden.before);
      const model = parseModel(golden.before);
      await runSteps(model, [simplify(golden.options)], { context: new TestContext() });
      const feeds = edgeFeeds(before, 11, golden.dims);
      const expected = await runPlain(encodeModel(before), feeds);
      const actual = await runPlain(encodeModel(model), feeds);
      expect(expected.flatMap((want, i) => differences(want, actual[i] ?? new Map()))).toEqual([]);
    });
  }

  it('show every rule at work', () => {
    const fired = new Set(cases.flatMap((golden) => Object.keys(golden.applied ?? {})));
    // What changes the signature is tested in input-shapes.test.ts.
    expect(Object.keys(simplify.rules).filter((rule) => !fired.has(rule) && rule !== 'input-shape')).toEqual([]);
  });
});
