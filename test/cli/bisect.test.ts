import { expect, it } from 'vitest';
import { simplify } from '../../passes/simplify/simplify.ts';
import { firstBreaking } from '../../src/cli/bisect.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, exact } from '../../src/pass/pass.ts';
import { TestContext } from '../support/context.ts';

/** Three rules, of which the second puts another operator in the place of Relu. */
const careless = definePass({
  id: 'careless',
  summary: 'for this test',
  options: { skip: opt.list([], 'rules to leave out') },
  rules: { 'drop-doc': 'harmless', 'relu-abs': 'wrong', 'neg-neg': 'harmless' },
  numerics: () => exact,
  run(model, { skip }, ctx) {
    let changed = false;
    for (const node of model.graph.nodes) {
      const rule = { Sigmoid: 'drop-doc', Relu: 'relu-abs', Neg: 'neg-neg' }[node.op];
      if (!rule || skip.includes(rule)) continue;
      if (rule === 'relu-abs') node.op = 'Abs';
      ctx.applied(rule, node);
      changed = true;
    }
    return { changed };
  },
});

const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,3] x) => (float[N,3] y) { [first] a = Sigmoid (x) [second] b = Relu (x) [third] c = Neg (b) y = Add (a, c) }`;

it('names the step and the rule that break the promise, and what to leave out', async () => {
  const base = parseModel(text);
  const before = printModel(base);
  const said = await firstBreaking(base, [simplify(), careless()], 0, new TestContext());
  expect(said).toBe(
    'The first rule that breaks it is relu-abs of step 2, careless (first at Abs "second"); without it (careless:skip=relu-abs) the promise holds',
  );
  expect(printModel(base)).toBe(before);
});

it('says nothing where every beginning keeps the promise', async () => {
  expect(await firstBreaking(parseModel(text), [simplify()], 0, new TestContext())).toBeUndefined();
});
