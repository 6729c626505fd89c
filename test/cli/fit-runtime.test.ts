import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { tempDir } from '../targets/support/temp.ts';
import { runCli } from './support.ts';

const cwd = await tempDir();

/** RMSNormalization came with opset 23, Swish with 24. */
const newest = `<ir_version: 12, opset_import: ["" : 24]>
main (float[N,8] x) => (float[N,8] y)
< float[8] scale = {1, 2, 3, 4, 5, 6, 7, 8} >
{
  a = RMSNormalization (x, scale)
  y = Swish (a)
}`;
writeFileSync(join(cwd, 'newest.onnx'), encodeModel(parseModel(newest)));
const bits = `<ir_version: 8, opset_import: ["" : 18]> main (int32[N] x) => (int32[N] y) { y = BitwiseNot (x) }`;
writeFileSync(join(cwd, 'bits.onnx'), encodeModel(parseModel(bits)));

const bundled = (dir: string) => decodeModel(readFileSync(join(cwd, dir, 'repository/newest/1/model.onnx')));

/** What the target would measure here, which takes seconds. */
const unmeasured = ['maxBatch=1', 'instances=1', 'threads=1'].flatMap((pair) => ['--option', pair]);

describe('a target that an older ONNX Runtime loads', () => {
  it('gets the model in operators that it has, and the golden cases hold', async () => {
    const flags = ['-t', 'triton', '--option', 'ort=1.17', ...unmeasured];
    const { code, stderr } = await runCli(['bundle', 'newest.onnx', '-o', 'old', ...flags], { cwd });
    expect(stderr).toContain('opset 24 → 20, IR version 12 → 9: target triton is loaded by ONNX Runtime 1.17');
    expect(code).toBe(0);
    const model = bundled('old');
    expect([model.opset, model.irVersion]).toEqual([20, 9]);
    expect([...model.graph.nodes].some((node) => node.op === 'RMSNormalization')).toBe(false);
    expect((await runCli(['check', 'old'], { cwd })).code).toBe(0);
  });

  it('gets it as it is where that runtime reads it', async () => {
    const flags = ['-t', 'triton', ...unmeasured];
    expect((await runCli(['bundle', 'newest.onnx', '-o', 'new', ...flags], { cwd })).code).toBe(0);
    expect(bundled('new').opset).toBe(24);
  });

  it('is told which operator needs more', async () => {
    const flags = ['-t', 'triton', '--option', 'ort=1.13', '-o', 'none'];
    const { code, stderr } = await runCli(['bundle', 'bits.onnx', ...flags], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(/target triton is loaded by ONNX Runtime 1\.13.*BitwiseNot "y".*opset 18/s);
    const wrong = await runCli(['bundle', 'newest.onnx', '-t', 'triton', '--option', 'ort=new', '-o', 'none'], { cwd });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('ort takes a version of ONNX Runtime such as 1.20, not "new"');
  });

  it('optimize packs base for it, where no variant is better', async () => {
    const config = {
      model: 'newest.onnx',
      out: 'optimized',
      targets: { triton: { ort: '1.17', maxBatch: 1, instances: 1, threads: 1 } },
    };
    writeFileSync(join(cwd, 'recipe.json'), JSON.stringify(config));
    const { code, stderr } = await runCli(['optimize', '-c', 'recipe.json', '-v', 'fp32', '--no-bench'], { cwd });
    expect(code, stderr).toBe(0);
    const model = decodeModel(readFileSync(join(cwd, 'optimized/bundles/triton/repository/newest/1/model.onnx')));
    expect([model.opset, model.irVersion]).toEqual([20, 9]);
  });
});
