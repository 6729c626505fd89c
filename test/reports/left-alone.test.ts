import { expect, it } from 'vitest';
import { describeStep } from '../../src/cli/transform.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { Recorder } from '../../src/pass/recorder.ts';
import { leftAlone } from '../../src/report/facts.ts';

const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
  g (float[1,64] x, int64[1] e, float[64,64] a) => (float[1,64] p, float[1,64] q, float[1,1,32] r, float[1,64] s)
    <float[64,64] small = random(1), float[4,64,32] experts = random(2)> {
    p = MatMul (x, a)  q = MatMul (x, small)  picked = Gather (experts, e)  r = MatMul (x, picked)  t = MatMul (p, a)  s = Add (t, x)
  }`);
const nodes = [...model.graph.nodes];
const trace = new Recorder();
for (const name of ['p', 't'])
  trace.skipped('linear', nodes.find((node) => node.output().name === name) ?? '', `it multiplies "${name}" with "a"`);
for (const [name, why] of [
  ['q', 'its weights are shared'],
  ['r', 'its weights are picked'],
] as const)
  trace.skipped('linear', nodes.find((node) => node.output().name === name) ?? '', why);

it('reasons stand by the weights that they keep as they are, experts behind a Gather too, and not by how often they are said', () => {
  expect(trace.skips.map(({ weightBytes }) => weightBytes)).toEqual([undefined, undefined, 16384, 32768]);
  expect(leftAlone(trace.skips).map(({ why, members }) => [why, members.length])).toEqual([
    ['its weights are picked', 1],
    ['its weights are shared', 1],
    ['it multiplies "p" with "a"', 2],
  ]);
  trace.skipped('opset', 'model', 'it cannot be raised');
  expect(leftAlone(trace.skips)[0]?.why).toBe('it cannot be raised');
});

it('the terminal shows them in that order, those that differ in names alone as one', () => {
  const plain = (text: string): string => text;
  const step = {
    pass: 'x',
    options: {},
    changed: true,
    applied: {},
    applications: [],
    skipped: trace.skips,
    nodesBefore: 6,
    nodesAfter: 6,
    ms: 1,
  };
  const lines = describeStep(step, { bold: plain, dim: plain } as never, 3).split('\n');
  expect(lines.slice(1)).toEqual([
    '  left model: it cannot be raised',
    '  left MatMul "r": its weights are picked',
    '  left MatMul "q": its weights are shared',
    '  … and 1 more reasons (--json lists all)',
  ]);
});
