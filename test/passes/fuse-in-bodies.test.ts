import { expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { differential, edgeFeeds } from '../support/differential.ts';
import { readCases } from '../support/golden.ts';

/** The nodes of a case in the body of a Loop that runs once, inputs and weights outside of it; undefined where the text has more than a graph, or no names for it. */
function inLoop(text: string): string | undefined {
  const parts = /^(<[^]*?>)\n(\w+) \(([^)]*)\) => \(([^)]*)\)\s*(?:<([^]*?)>)?\s*\{([^]*)\}\s*$/.exec(text);
  if (!parts) return undefined;
  const [, header, name, inputs, outputs = '', weights, nodes = ''] = parts;
  if (/"/.test(outputs) || /\n\}/.test(nodes)) return undefined;
  const types = outputs.split(/,\s*(?![^[]*\])/).map((one) => one.trim().split(' '));
  const outer = types.map(([type = '', value]) => `${type.replace(/\[.*/, '')}[] ${value}_all`);
  return `${header}
${name} (${inputs}) => (${outer.join(', ')})
<${weights ? `${weights},` : ''} int64 loop_once = {1}, bool loop_go = {1}>
{
  ${types.map(([, value]) => `${value}_all`).join(', ')} = Loop <body = step (int64 loop_at, bool loop_in) => (bool loop_out, ${outputs}) {
    loop_out = Identity (loop_in)
    ${nodes}
  }> (loop_once, loop_go)
}`;
}

const cases = readCases().filter(
  (one) => one.pass === 'fuse' && one.after !== undefined && one.ortCannot === undefined,
);

it('every rule of fuse does in the body of a Loop what it does in a graph', { timeout: 120_000 }, async () => {
  const rules = new Set<string>();
  for (const one of cases) {
    const text = inLoop(one.before);
    if (text === undefined) continue;
    const before = parseModel(text);
    // Loop without a state came with opset 11.
    if (before.opset < 11) continue;
    expect(verify(before), one.name).toEqual([]);
    const model = cloneModel(before);
    const known = Object.fromEntries(Object.entries(fuse.options).map(([name, option]) => [name, option.default]));
    const options = { ...known, ...one.options };
    const [trace] = await runSteps(model, [{ pass: fuse, options }], { context: new TestContext() });
    if (one.applied) expect(trace?.applied, one.name).toEqual(one.applied);
    for (const rule of Object.keys(trace?.applied ?? {})) rules.add(rule);
    expect(verify(model), one.name).toEqual([]);
    const feeds = edgeFeeds(before, 7, one.dims, one.values);
    const numerics = fuse.numerics(options as never);
    expect(await differential(before, model, feeds, numerics), one.name).toEqual([]);
  }
  expect(Object.keys(fuse.rules).filter((rule) => !rules.has(rule))).toEqual([]);
});
