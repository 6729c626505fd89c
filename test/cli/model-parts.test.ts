import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openedParts, partName, partNames, suffixes } from '../../src/cli/model-parts.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { dtypes } from '../../targets/transformers-js/names.ts';
import { runCli } from './support.ts';

/** ids [batch, tokens] → states [batch, tokens, 32]. */
const encoder = `<ir_version: 8, opset_import: ["" : 17]>
main (int64[batch,tokens] input_ids) => (float[batch,tokens,32] last_hidden_state)
<float[24,32] table = random(1, -1, 1), float[32,32] w = random(2, -0.5, 0.5)>
{ x = Gather (table, input_ids)
  last_hidden_state = MatMul (x, w) }`;

/** The exporter knew nothing of the extents of its output; `simplify` finds the 48. */
const decoder = `<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,tokens,32] encoder_hidden_states) => (float[b,t,v] logits)
<float[32,48] w = random(3, -0.5, 0.5)>
{ logits = MatMul (encoder_hidden_states, w) }`;

/** A folder as Optimum writes it for T5. */
async function writeFolder(folder: string, names: readonly string[]): Promise<void> {
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({ model_type: 't5', architectures: ['T5ForConditionalGeneration'], is_encoder_decoder: true }),
  );
  for (const name of names)
    await saveModel(
      parseModel(name.startsWith('decoder') ? decoder : encoder),
      join(folder, 'onnx', `${name}.onnx`),
      {},
    );
}

describe('a model of several files', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'mlpack-parts-'));
    await writeFolder(join(dir, 'seq'), [
      'decoder_model',
      'decoder_model_merged',
      'decoder_with_past_model',
      'encoder_model',
    ]);
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('is refused where one file is meant, and the files are named', async () => {
    const { code, stderr } = await runCli(['inspect', 'seq'], { cwd: dir });
    expect(code).toBe(2);
    expect(stderr).toContain(
      'holds no model.onnx or onnx/model.onnx, but onnx/decoder_model.onnx, onnx/decoder_model_merged',
    );
    expect(stderr).toContain('bundle --target transformers-js takes such a folder whole');
    const server = await runCli(['bundle', 'seq', '-t', 'server', '-o', 'server'], { cwd: dir });
    expect(server.code).toBe(2);
  });

  it('goes whole into a folder for transformers.js, which opens each file in each format', async () => {
    const argv = ['bundle', 'seq', '-t', 'transformers-js', '-v', 'fp16,int8', '-o', 'whole'];
    const made = await runCli(argv, { cwd: dir });
    expect(made.code, made.stderr).toBe(0);
    expect((await readdir(join(dir, 'whole/onnx'))).sort()).toEqual(
      ['decoder_model_merged', 'encoder_model'].flatMap((part) =>
        ['.onnx', '_fp16.onnx', '_int8.onnx', '_quantized.onnx'].map((end) => `${part}${end}`),
      ),
    );
    const config = JSON.parse(await readFile(join(dir, 'whole/config.json'), 'utf8'));
    expect(config['transformers.js_config'].device_config.wasm).toEqual({ dtype: 'q8' });
    expect(await readFile(join(dir, 'whole/README.md'), 'utf8')).toContain(
      'await T5ForConditionalGeneration.from_pretrained',
    );
    const manifest = JSON.parse(await readFile(join(dir, 'whole/mlpack.json'), 'utf8'));
    expect(manifest.variants.map(({ name }: { name: string }) => name)).toContain('encoder_model/int8');
    const checked = await runCli(['check', 'whole'], { cwd: dir });
    expect(checked.code, checked.stdout).toBe(0);
    for (const name of ['encoder_model.onnx', 'encoder_model_quantized.onnx', 'decoder_model_merged_fp16.onnx'])
      expect(checked.stdout).toContain(`onnx/${name}, @huggingface/transformers`);
  });

  it('takes the formats that stand beside the files, and leaves out what not all of them have', async () => {
    await writeFolder(join(dir, 'given'), ['decoder_model_merged', 'encoder_model']);
    const whole = join(dir, 'whole/onnx');
    for (const name of ['encoder_model_fp16', 'encoder_model_int8', 'decoder_model_merged_fp16'])
      await cp(join(whole, `${name}.onnx`), join(dir, 'given/onnx', `${name}.onnx`));
    const made = await runCli(['bundle', 'given', '-t', 'transformers-js', '-o', 'again'], { cwd: dir });
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout).toContain('Not all of decoder_model_merged, encoder_model come as int8');
    expect((await readdir(join(dir, 'again/onnx'))).sort()).toEqual([
      'decoder_model_merged.onnx',
      'decoder_model_merged_fp16.onnx',
      'encoder_model.onnx',
      'encoder_model_fp16.onnx',
    ]);
  });

  it('keeps the name of a file that is bundled by itself, opens it, and says what is missing', async () => {
    const argv = ['bundle', 'seq/onnx/encoder_model.onnx', '-t', 'transformers-js', '-v', 'int8', '-o', 'alone'];
    const made = await runCli(argv, { cwd: dir });
    expect(made.code, made.stderr).toBe(0);
    expect(made.stdout).toContain('encoder_model is one of the files that make up the model');
    expect(await readdir(join(dir, 'alone/onnx'))).toContain('encoder_model_quantized.onnx');
    const checked = await runCli(['check', 'alone'], { cwd: dir });
    expect(checked.code, checked.stdout).toBe(0);
  });

  it('is refused without the decoder that transformers.js opens, and with flags that speak of one file', async () => {
    await writeFolder(join(dir, 'split'), ['decoder_model', 'decoder_with_past_model', 'encoder_model']);
    const split = await runCli(['bundle', 'split', '-t', 'transformers-js', '-v', 'fp16', '-o', 'no'], { cwd: dir });
    expect(split.code).toBe(2);
    expect(split.stderr).toContain('transformers.js opens onnx/decoder_model_merged.onnx');
    const argv = ['bundle', 'seq', '-t', 'transformers-js', '--also', 'seq/onnx/encoder_model.onnx', '-o', 'no'];
    const also = await runCli(argv, { cwd: dir });
    expect(also.code).toBe(2);
    expect(also.stderr).toContain('--also speaks of one model file, and 2 make up this model');
  });

  it('is written by optimize under the name of its file', async () => {
    const argv = ['optimize', 'seq/onnx/encoder_model.onnx', '--naming', 'transformers-js', '-v', 'int8', '--no-bench'];
    const { code, stderr } = await runCli([...argv, '-o', 'named'], { cwd: dir });
    expect(code, stderr).toBe(0);
    expect(await readdir(join(dir, 'named/onnx'))).toContain('encoder_model_quantized.onnx');
  });

  it('is told from other forms of model.onnx', async () => {
    const folder = join(dir, 'forms');
    await mkdir(join(folder, 'onnx'), { recursive: true });
    const stems = [
      'model',
      'model_O3',
      'model_qint8_avx512',
      'model_q4',
      'text_model',
      'text_model_q4f16',
      'vision_model',
    ];
    for (const stem of stems) await writeFile(join(folder, `onnx/${stem}.onnx`), '');
    expect(partNames(folder)).toEqual(['model', 'text_model', 'vision_model']);
    expect(openedParts(['decoder_model', 'encoder_model'])).toEqual(['decoder_model', 'encoder_model']);
    expect(
      ['a/onnx/text_model.onnx', 'a/onnx/model.onnx', 'a/onnx/model_q4.onnx', 'a/resnet.onnx'].map(partName),
    ).toEqual(['text_model', undefined, undefined, undefined]);
    expect(suffixes).toEqual(dtypes.map(({ suffix }) => suffix).filter((suffix) => suffix !== ''));
  });
});
