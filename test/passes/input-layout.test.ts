import { describe, expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';
import { inputLayout } from '../../passes/layout/input-layout.ts';
import { simplify } from '../../passes/simplify/simplify.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model } from '../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { verify } from '../../src/ir/verify.ts';
import type { Step } from '../../src/pass/pass.ts';
import { runSteps } from '../../src/pass/pipeline.ts';
import { TestContext } from '../support/context.ts';
import { countOps } from '../support/count-ops.ts';
import { signature } from '../support/golden.ts';
import { runOrt } from '../support/ort.ts';

const image = `<ir_version: 8, opset_import: ["" : 17]>
main (float[N,3,4,5] x, bool turn) => (float[N,2,4,5] y, float[N,2] mean)
< float[2,3,1,1] w = random(1) >
{
  c = Conv (x, w)
  y = If <then_branch = yes () => (float[N,2,4,5] a) { a = Relu (c) }, else_branch = no () => (float[N,2,4,5] b)
    {
      s = ReduceMean <axes = [1], keepdims = 1> (x)
      b = Sub (c, s)
    }> (turn)
  mean = ReduceMean <axes = [2, 3], keepdims = 0> (c)
}`;

const run = async (model: Model, ...steps: Step[]) => (await runSteps(model, steps, { context: new TestContext() }))[0];

/** [N, C, H, W] → [N, H, W, C] */
function channelsLast(data: Float32Array, [n, c, h, w]: readonly [number, number, number, number]): Float32Array {
  const result = new Float32Array(data.length);
  let at = 0;
  for (let b = 0; b < n; b++)
    for (let i = 0; i < h * w; i++) for (let k = 0; k < c; k++) result[at++] = data[(b * c + k) * h * w + i] as number;
  return result;
}

describe('input-layout', () => {
  it.each([0, 1])('gives the same numbers in the other order (branch %i)', async (branch) => {
    const before = parseModel(image);
    const after = cloneModel(before);
    const trace = await run(after, inputLayout({ nhwc: ['x', 'y'] }));
    expect(trace?.applied).toEqual({ 'input-layout': 2 });
    expect(verify(after)).toEqual([]);
    expect(after.graph.inputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['x', ['N', 4, 5, 3]],
      ['turn', []],
    ]);
    expect(after.graph.outputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['y', ['N', 4, 5, 2]],
      ['mean', ['N', 2]],
    ]);
    const x = Float32Array.from({ length: 2 * 60 }, (_, at) => Math.sin(at));
    const turn = tensorFrom('bool', [], Uint8Array.of(branch));
    const [want] = await runOrt(before, [
      new Map([
        ['x', tensorFrom('float32', [2, 3, 4, 5], x)],
        ['turn', turn],
      ]),
    ]);
    const turned = tensorFrom('float32', [2, 4, 5, 3], channelsLast(x, [2, 3, 4, 5]));
    for (const model of [after, cloneModel(after)]) {
      const [got] = await runOrt(model, [
        new Map([
          ['x', turned],
          ['turn', turn],
        ]),
      ]);
      const numbers = (feeds: typeof want, name: string) => typedArray(feeds?.get(name) as never, 'float32');
      expect(numbers(got, 'y')).toEqual(channelsLast(numbers(want, 'y'), [2, 2, 4, 5]));
      expect(numbers(got, 'mean')).toEqual(numbers(want, 'mean'));
    }
  });

  it('does nothing a second time, and there and back is nothing after simplify', async () => {
    const model = parseModel(image);
    const given = signature(model);
    await run(model, inputLayout({ nhwc: ['*'] }));
    expect((await run(model, inputLayout({ nhwc: ['x', 'y'] })))?.changed).toBe(false);
    await run(model, inputLayout({ nchw: ['x', 'y'] }), simplify());
    expect(signature(model)).toBe(given);
    expect(countOps(model)['Transpose'] ?? 0).toBe(0);
  });

  it('takes away the Transposes of a model that was converted from channels last', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[1,4,5,3] x) => (float[1,4,5,2] y)
< float[2,3,1,1] w = random(1) >
{
  t = Transpose <perm = [0, 3, 1, 2]> (x)
  c = Conv (t, w)
  r = Relu (c)
  y = Transpose <perm = [0, 2, 3, 1]> (r)
}`);
    await run(model, inputLayout({ nchw: ['x', 'y'] }), simplify(), fuse());
    expect(countOps(model)).toEqual({ Conv: 1, Relu: 1 });
    expect(model.graph.inputs[0]?.shape).toEqual([1, 3, 4, 5]);
  });

  it('turns what is named twice once', async () => {
    for (const nhwc of [
      ['x', 'x'],
      ['x', '*'],
      ['*', 'x', 'y'],
    ]) {
      const model = parseModel(image);
      await run(model, inputLayout({ nhwc }));
      expect(countOps(model)['Transpose'], nhwc.join()).toBe(nhwc.includes('*') ? 2 : 1);
    }
  });

  it('says what it cannot do', async () => {
    const attempt = (options: Parameters<typeof inputLayout>[0]) => run(parseModel(image), inputLayout(options));
    await expect(attempt({ nhwc: ['X'] })).rejects.toThrow('the model has no input or output "X"');
    await expect(attempt({ nhwc: ['mean'] })).rejects.toThrow('"mean" is of rank 2');
    await expect(attempt({ nhwc: ['x'], nchw: ['x'] })).rejects.toThrow('"x" is to be NHWC and NCHW at once');
    await expect(attempt({ nhwc: ['*'], nchw: ['x'] })).rejects.toThrow('"x" is to be NHWC and NCHW at once');
    const passed = `<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,3,4] x) => (float[1,2,3,4] x) { z = Relu (x) }`;
    await expect(run(parseModel(passed), inputLayout({ nhwc: ['x'] }))).rejects.toThrow(
      'an input and an output at once',
    );
    await expect(run(parseModel(passed), inputLayout({ nhwc: ['*'] }))).rejects.toThrow(
      'no input or output of rank 3 to 5',
    );
  });
});
