import { describe, expect, it } from 'vitest';
import {
  askTarget,
  chooseTargets,
  needOf,
  noBundleReason,
  sessionConfigOf,
} from '../../src/cli/optimize/candidates.ts';
import type { Measured } from '../../src/cli/optimize/measured.ts';
import { defaultProviders } from '../../src/cli/optimize/providers.ts';
import type { Artifact } from '../../src/target/target.ts';

function artifact(ops: Record<string, number>, bytes = 1000): Artifact {
  return {
    name: 'm',
    variant: 'v',
    files: [{ name: 'model.onnx', source: '/m.onnx', bytes, sha256: 'x' }],
    inputs: [{ name: 'x', dtype: 'float32', shape: [1] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
    irVersion: 8,
    opsets: { '': 17 },
    ops,
    weightBytes: { float32: bytes },
    golden: [],
    labels: undefined,
    preprocessing: undefined,
    license: undefined,
  };
}
const artifacts = new Map([
  ['base', artifact({ MatMul: 2 })],
  ['int8', artifact({ MatMulInteger: 2, DynamicQuantizeLinear: 2 })],
  ['int4', artifact({ 'com.microsoft:MatMulNBits': 2 })],
  ['int8-dq', artifact({ DequantizeLinear: 2, MatMul: 2 })],
  ['huge', artifact({ MatMul: 2 }, 3e9)],
]);
const named = (name: string) => ({ name }) as Measured;

describe('what targets say of variants', () => {
  const targets = chooseTargets(
    new Map([
      ['server', {}],
      ['browser', {}],
    ]),
  );
  const answers = targets.map((target) => askTarget(target, artifacts));
  const [server, browser] = answers.map(needOf);

  it('gives the providers of the very variant', () => {
    expect(server?.providers(named('int4'))).toEqual(['cpu']);
    expect(browser?.providers(named('base'))).toEqual(['web-wasm', 'web-webgpu']);
    expect(browser?.providers(named('int8'))).toEqual(['web-wasm']);
    expect(browser?.providers(named('int4'))).toEqual(['web-webgpu', 'web-wasm']);
  });

  it('gives refusals as sentences', () => {
    expect(browser?.refuses(named('base'))).toBeUndefined();
    expect(browser?.refuses(named('huge'))).toContain('3.0 GB');
    expect(server?.refuses(named('unbuilt'))).toBe('there is no file');
  });

  it('knows the session options that bundles set', () => {
    expect(sessionConfigOf(answers, 'int8-dq', 'web-wasm')).toEqual({ 'session.disable_quant_qdq': '1' });
    expect(sessionConfigOf(answers, 'int8-dq', 'cpu')).toEqual({});
    expect(sessionConfigOf(answers, 'int8', 'web-wasm')).toEqual({});
  });

  it('takes options of the config into account', () => {
    const [chosen] = chooseTargets(new Map([['browser', { provider: 'wasm' }]]));
    expect(chosen && needOf(askTarget(chosen, artifacts)).providers(named('base'))).toEqual(['web-wasm']);
    expect(() => chooseTargets(new Map([['browser', { provder: 'wasm' }]]))).toThrow('has no option "provder"');
    expect(() => chooseTargets(new Map([['brwser', {}]]))).toThrow('there is no target "brwser"');
  });

  it('says why there is no bundle', () => {
    const onlyHuge = askTarget(targets[1] as (typeof targets)[number], new Map([['base', artifact({}, 3e9)]]));
    expect(noBundleReason(undefined, onlyHuge)).toContain('3.0 GB');
    expect(noBundleReason('int2', answers[0] as (typeof answers)[number])).toContain('there is no variant "int2"');
  });

  it('measures on the CPU and on what the targets run on', async () => {
    expect(await defaultProviders(targets)).toEqual(['cpu', 'web-wasm']);
    expect(await defaultProviders(targets.slice(0, 1))).toEqual(['cpu']);
  });
});
