import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseModel } from '../../src/ir/text/parse.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { distBin, type RunOptions, runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));

let cwd: string;
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(cwd, { recursive: true, force: true }));

/** Exit code 2, one sentence on stderr that matches, nothing on stdout, no stack, and no new file. */
async function refused(argv: readonly string[], sentence: RegExp, options: RunOptions = {}): Promise<void> {
  const before = readdirSync(cwd).sort();
  const { code, stdout, stderr } = await runCli([...argv, '-q'], { cwd, ...options });
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^mlpack: [^\n]+\n$/);
  expect(stdout).toBe('');
  expect(code).toBe(2);
  expect(readdirSync(cwd).sort()).toEqual(before);
}

/** Both a command that only reads and one that writes must refuse. */
async function refusedModel(file: string, sentence: RegExp): Promise<void> {
  await refused(['inspect', file], sentence);
  await refused(['run', file, 'simplify', '-o', 'never.onnx'], sentence);
  await refused(['optimize', file, '-o', 'never', '--no-bench'], sentence);
}

describe('what is no model', () => {
  it.each([
    ['empty', Buffer.alloc(0), /the file is empty/],
    ['text', Buffer.from('hello, I am a text\n'), /it is a text file/],
    ['jpeg', Buffer.from('ffd8ffe000104a46494600010100000100010000', 'hex'), /it is a JPEG image/],
    ['page', Buffer.from('<!DOCTYPE html><html><body>404</body></html>'), /it is an HTML or XML page/],
    [
      'lfs',
      Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n'),
      /it is a Git LFS pointer.*git lfs pull/,
    ],
    ['zeros', Buffer.alloc(3000), /damaged or no ONNX model/],
  ])('%s', async (name, bytes, sentence) => {
    writeFileSync(join(cwd, `${name}.onnx`), bytes);
    await refusedModel(`${name}.onnx`, sentence);
  });

  it('a folder without a model, a broken link, a pipe, nothing', async () => {
    mkdirSync(join(cwd, 'hollow'));
    await refusedModel('hollow', /the folder "hollow" holds no model\.onnx or onnx\/model\.onnx/);
    symlinkSync('nowhere.onnx', join(cwd, 'broken.onnx'));
    await refusedModel('broken.onnx', /there is no model at "broken\.onnx"/);
    await refusedModel('', /which model\?/);
    if (process.platform !== 'win32') {
      execFileSync('mkfifo', [join(cwd, 'pipe.onnx')]);
      await refusedModel('pipe.onnx', /is no regular file/);
    }
  });

  it('a model that ends too early, wherever', async () => {
    const bytes = await readFile(join(digits, 'model.onnx'));
    for (const length of [1, 20, 24, 1000, bytes.byteLength - 1]) {
      await writeFile(join(cwd, 'cut.onnx'), bytes.subarray(0, length));
      await refusedModel('cut.onnx', /ends too early|no ONNX model|no complete ONNX model/);
    }
  });

  it('flipped bits end in a result or a sentence, never in a stack', async () => {
    const bytes = await readFile(join(digits, 'model.onnx'));
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 25; round++) {
      const copy = Buffer.from(bytes);
      for (let flip = 0; flip < 3; flip++) {
        // Structure is at both ends of this file, weights in the middle.
        const at = random(2) ? random(4000) : copy.byteLength - 1 - random(4000);
        copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
      }
      await writeFile(join(cwd, 'flipped.onnx'), copy);
      for (const argv of [
        ['inspect', 'flipped.onnx'],
        ['run', 'flipped.onnx', 'simplify', 'fuse', '-o', 'flipped-out.onnx', '--force'],
      ]) {
        const { code, stderr } = await runCli(argv, { cwd });
        expect([0, 2], stderr).toContain(code);
      }
    }
    await rm(join(cwd, 'flipped-out.onnx'), { force: true });
  });
});

describe('models that cannot be run', () => {
  const header = '<ir_version: 8, opset_import: ["" : 17, "my.ops" : 1]>\n';

  async function write(name: string, text: string): Promise<string> {
    await saveModel(parseModel(text), join(cwd, name), { force: true });
    return name;
  }

  it('an operator of an unknown domain is carried, and named where it has to run', async () => {
    const file = await write(
      'custom.onnx',
      `${header}main (float[1,4] x) => (float[1,4] y)\n{ a = Identity (x)\n h = my.ops.Magic (a)\n y = Relu (h) }`,
    );
    const { code, stdout } = await runCli(['run', file, 'simplify', 'fuse', '-o', 'carried.onnx'], { cwd });
    expect(code).toBe(0);
    expect(stdout).toMatch(/identity ×1/);
    const { stdout: text } = await runCli(['inspect', 'carried.onnx', '--text'], { cwd });
    expect(text).toContain('my.ops.Magic');
    await refused(['optimize', file, '-o', 'never'], /my\.ops.*Magic/);
    await rm(join(cwd, 'carried.onnx'));
  });

  it('names do not drive the terminal, wherever they are told', async () => {
    const file = await write(
      'driving.onnx',
      `${header}main (float[1,4] x) => (float[1,4] y)\n{ y = my.ops.Magic (x) }`,
    );
    const bytes = await readFile(join(cwd, file));
    const at = bytes.indexOf('Magic');
    bytes.set([0x1b, 0x5b, 0x38, 0x6d, 0x07], at);
    await writeFile(join(cwd, file), bytes);
    for (const argv of [
      ['inspect', file],
      ['explain', file, 'fuse'],
      ['bench', file],
      ['compare', file, file],
    ]) {
      const { stdout, stderr } = await runCli(argv, { cwd });
      expect(stdout + stderr).not.toMatch(/[^\P{Cc}\n\t]/u);
    }
    const { stdout } = await runCli(['inspect', file], { cwd });
    expect(stdout).toContain('\\u001b[8m\\u0007');
  });

  it('an opset or IR version beyond the runtime', async () => {
    const file = await write(
      'future.onnx',
      '<ir_version: 8, opset_import: ["" : 99]>\nmain (float[1,4] x) => (float[1,4] y)\n{ y = Relu (x) }',
    );
    await refused(['optimize', file, '-o', 'never'], /opset.*99|99.*opset/i);
  });

  it('one whose outputs are NaN throughout, which everything would reproduce', async () => {
    const file = await write(
      'nan.onnx',
      `${header}main (float[1,4] x) => (float[1,4] y)\n{ zero = Sub (x, x)\n y = Div (zero, zero) }`,
    );
    await refused(['optimize', file, '-o', 'never', '--no-bench'], /only NaN or infinite values \("y".*--data/);
  });

  it('bench says what is wrong with the file, as every other command does', async () => {
    writeFileSync(
      join(cwd, 'pointer.onnx'),
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n',
    );
    await refused(['bench', 'pointer.onnx'], /it is a Git LFS pointer.*git lfs pull/);
  });

  it('declared sizes that nobody has memory for', async () => {
    const file = await write(
      'huge.onnx',
      `${header}main (float[1000000,1000000] x) => (float[1000000,1000000] y)\n{ y = Relu (x) }`,
    );
    await refused(['optimize', file, '-o', 'never'], /1000000x1000000.*--input-shape/);
  });

  it('operators without the inputs that they need, and sizes beyond all memory, pass through what does not run them', async () => {
    const missing = await write('missing.onnx', `${header}main (float[2,4] x) => (float[2,2] y)\n{ y = MatMul (x) }`);
    const fused = await runCli(['run', missing, 'fuse:level=runtime', '-o', 'passed.onnx'], { cwd });
    expect([fused.code, fused.stderr]).toEqual([0, expect.not.stringContaining('bug')]);
    const padded = await write(
      'padded.onnx',
      `${header}main (float[N,1,8,8] x) => (float[N,2,8,10] y)
< float[4,1,3,3] v = random(1), float[2,4,3,3] w = random(2) >
{ h = Conv <pads = [1, 2147483647, 1, 1]> (x, v)  y = Conv (h, w) }`,
    );
    const pruned = await runCli(['prune-channels', padded, '--ratio', '0.5', '-o', 'passed.onnx', '--force'], { cwd });
    expect([pruned.code, pruned.stderr]).toEqual([0, expect.not.stringContaining('bug')]);
    await rm(join(cwd, 'passed.onnx'));
  });

  it('inputs that cannot be made up', async () => {
    const file = await write(
      'sequence.onnx',
      `${header}main (seq(float[N]) s, int64 i) => (float[N] y)\n{ y = SequenceAt (s, i) }`,
    );
    await refused(['bench', file], /cannot be made up for "s".*sequence/);
  });

  it('weights in a file that is not there', async () => {
    const { code } = await runCli(['run', digits, 'simplify', '-o', 'ext.onnx', '--external-data', 'always'], { cwd });
    expect(code).toBe(0);
    await rm(join(cwd, 'ext.onnx.data'));
    await refused(['run', 'ext.onnx', 'to-fp16', '-o', 'never.onnx'], /ext\.onnx\.data/);
    await refused(['optimize', 'ext.onnx', '-o', 'never'], /ext\.onnx\.data/);
    await refused(
      ['eval', 'ext.onnx', '-d', join(digits, 'eval')],
      /ext\.onnx\.data does not exist; put the data file beside/,
    );
  });
});

it('commands that open a model on the runtime at once say what else it is', async () => {
  writeFileSync(join(cwd, 'net.pt'), 'PK\x03\x04garbage');
  for (const argv of [
    ['eval', 'net.pt', '-d', join(digits, 'eval')],
    ['eval', digits, '--base', 'net.pt'],
    ['bundle', 'net.pt', '-t', 'server'],
    ['compare', digits, 'net.pt'],
    ['data', 'check', join(digits, 'eval'), '--model', 'net.pt'],
  ])
    await refused(argv, /net\.pt: This is no ONNX model: it is a zip archive \(PyTorch checkpoints are\)/);
});

it('values that are no choice are told the choices once', async () => {
  await refused(['quantize-weights', digits, '-o', 'x.onnx', '--bits', '5'], /takes one of 2, 3, 4, 8, not "5"\.$/m);
  await refused(
    ['channel', 'push', '--to', 'w'],
    /channel cannot "push"; it can publish, set, rollback, show, tuf\.$/m,
  );
});

describe('places that cannot be written', () => {
  it('a mount point is no folder that another takes the place of', async () => {
    if (process.platform !== 'linux') return;
    await refused(
      ['bundle', digits, '-t', 'triton', '-o', '/proc', '--force'],
      /"\/proc" is a mount point .* --out \/proc\/mlpack/,
    );
    await refused(['optimize', digits, '-o', '/proc', '--force'], /"\/proc" is a mount point/);
  });

  it('a folder, and a link to nowhere, where a file goes', async () => {
    mkdirSync(join(cwd, 'taken.onnx'));
    await refused(['simplify', digits, '-o', 'taken.onnx'], /"taken\.onnx" is a folder where a file is expected/);
    await refused(['simplify', digits, '-o', 'taken.onnx', '--force'], /"taken\.onnx" is a folder where a file/);
    if (process.platform === 'win32') return;
    symlinkSync('gone.onnx', join(cwd, 'to-gone.onnx'));
    await refused(['simplify', digits, '-o', 'to-gone.onnx'], /"to-gone\.onnx" exists; give another --out/);
  });

  it('names the bundles of a run whose folder was given', async () => {
    mkdirSync(join(cwd, 'ran', 'bundles', 'server'), { recursive: true });
    writeFileSync(join(cwd, 'ran', 'bundles', 'server', 'mlpack.json'), '{}');
    await refused(['check', 'ran'], /there is no mlpack\.json in it; bundles are in it: \S*ran\/bundles\/server\.$/m);
    await refused(['sbom', join('ran', 'bundles')], /bundles are in it: \S*ran\/bundles\/server\.$/m);
  });

  it('a full device, on standard output too, in a sentence', () => {
    if (process.platform !== 'linux') return;
    for (const flag of ['--text', '--json']) {
      const done = spawnSync(
        'sh',
        ['-c', `"$0" "$1" inspect "$2" ${flag} > /dev/full`, process.execPath, distBin, digits],
        {
          encoding: 'utf8',
        },
      );
      expect(done.stderr).toMatch(/^mlpack: the disk is full while writing[^\n]*\n$/);
      expect(done.status).toBe(2);
    }
  });

  it('says so before the work', async () => {
    writeFileSync(join(cwd, 'file'), 'x');
    await refused(['optimize', digits, '-o', 'file'], /exists; give another --out/);
    await refused(['optimize', digits, '-o', 'file/sub'], /cannot be made: .*file is a file/);
    await refused(['run', digits, 'simplify', '-o', 'file/x.onnx'], /cannot be made: .*file is a file/);
    await refused(['run', digits, 'simplify', '-o', 'none/x.onnx'], /the folder of "none\/x\.onnx" does not exist/);
    await refused(['bundle', digits, '-t', 'server', '-o', 'file/b'], /is a file/);
    if (process.platform === 'linux') {
      await refused(['optimize', digits, '-o', '/proc/mlpack'], /nothing can be written in \/proc/);
      await refused(['run', digits, 'simplify', '-o', '/proc/mlpack.onnx'], /nothing can be written in \/proc/);
    }
  });

  it('names that are too long, and links that lead in a circle, before the work', async () => {
    const long = 'a'.repeat(300);
    for (const argv of [
      ['run', digits, 'simplify', '-o', `${long}.onnx`],
      ['optimize', digits, '--no-bench', '-o', long],
      // What is added while it is written counts, too.
      ['optimize', digits, '--no-bench', '-o', 'a'.repeat(250)],
      ['bundle', digits, '-t', 'server', '-o', long],
      ['bench', digits, '--trace', long],
    ])
      await refused(argv, /name "a+(\.onnx)?" is too long; choose another --(out|trace)/);
    await refused(
      ['run', digits, 'simplify', '-o', `${long}/x.onnx`],
      /the name "[^"]*" is too long for the file system/,
    );
    await refused(['report', long], /the name "[^"]*" is too long for the file system/);
    if (process.platform === 'win32') return;
    symlinkSync('circle', join(cwd, 'circle'));
    await refused(['run', digits, 'simplify', '-o', 'circle/x.onnx'], /the links at "[^"]*circle" lead in a circle/);
    await refused(['report', 'circle'], /the links at "[^"]*circle" lead in a circle/);
  });
});

it('--trace writes over no other file, such as the model that follows it', async () => {
  await cp(join(digits, 'model.onnx'), join(cwd, 'traced.onnx'));
  await refused(['bench', '--trace', 'traced.onnx', digits], /"traced\.onnx" exists and is no trace/);
  expect(await readFile(join(cwd, 'traced.onnx'))).toEqual(await readFile(join(digits, 'model.onnx')));
});

it('--trace says that there is nothing to trace before the models are timed, and not in place of their times', async () => {
  const argv = ['bench', digits, '--provider', 'web-wasm', '--trace', 'web.json', '--seconds', '0.1'];
  const { code, stderr } = await runCli(argv, { cwd });
  expect([code, stderr]).toEqual([2, expect.stringContaining('no profile to write')]);
  expect(stderr).not.toMatch(/^(measure|start) on/m);
});

it('--force deletes nothing but what an earlier run of optimize wrote', async () => {
  const own = join(cwd, 'own');
  mkdirSync(join(own, 'out'), { recursive: true });
  await cp(join(digits, 'model.onnx'), join(own, 'model.onnx'));
  writeFileSync(join(own, 'out/notes.txt'), 'mine');
  for (const [out, why] of [
    ['.', /"[^"]*own" holds [^"]*own.model\.onnx, and --force would delete it/],
    ['..', /holds [^"]*model\.onnx, and --force would delete it/],
    ['out', /is not empty and holds no report of mlpack, so it is left alone/],
    ['model.onnx', /exists and is no folder/],
  ] as const)
    await refused(['optimize', 'model.onnx', '--no-bench', '--force', '-o', out], why, { cwd: own });
  expect(readdirSync(own).sort()).toEqual(['model.onnx', 'out']);
  expect(readdirSync(join(own, 'out'))).toEqual(['notes.txt']);
});

describe('flags and settings', () => {
  it.each([
    [
      ['bench', digits, '--threads', '1.5'],
      /'--threads <n,…>' argument '1\.5' is invalid\. Give a whole number from 1/,
    ],
    [['optimize', digits, '--seed', 'x'], /argument 'x' is invalid/],
    [['optimize', digits, '--max-drop', 'much'], /argument 'much' is invalid/],
    [['compare', digits, digits, '--samples', '0'], /Give a whole number from 1/],
    [['optimize', digits, '--max-dorp', '1'], /unknown option '--max-dorp' \(did you mean --max-drop\?\)/],
    [['optimise', digits], /unknown command 'optimise' \(did you mean optimize\?\)/],
    [['inspect'], /missing required argument 'model'/],
    [['bundle', '-t', 'server'], /missing required argument 'model'/],
    [['bundle', '-t', 'sever', digits], /there is no target "sever" \(did you mean "server"\?\)/],
    [
      ['bundle', digits, '-t', 'stream', '--option', 'broker=kafka://a:1,b:2,in=x,out=x'],
      /in, out and dead must be three different ones/,
    ],
    [['bundle', digits, '-t', 'sever'], /there is no target "sever" \(did you mean "server"\?\)/],
    [['bundle', digits, '-t', 'server', '--option', 'baseImagee=x'], /no option "baseImagee".*baseImage/],
    [['eval', digits, '--metric', 'topp1'], /no metric "topp1" \(did you mean "top1"\?\)/i],
    [['eval', digits, '--provider', 'cudda'], /no provider "cudda"/],
    [['explain', digits, 'fuse', 'Convv'], /"Convv".*did you mean "Conv"/],
    [['inspect', digits, '--input-shape', 'batch'], /--input-shape takes symbol=1/],
    [['bench', digits, '--input-shape', 'batch=0'], /batch=0 leaves no element/],
    [['check', 'hollow-bundle'], /is not a bundle/],
  ])('%j', async (argv, sentence) => {
    await refused(argv, sentence);
  });

  it.each([
    ['{"modle":"x"}', /no setting "modle" \(did you mean "model"\?\)/],
    ['{nope', /is not valid JSON/],
    ['[1]', /must give one object/],
    ['{"variants":{"a":["simplfy"]}}', /variant "a": there is no pass "simplfy" \(did you mean "simplify"\?\)/],
    ['{"variants":{"../a":["simplify"]}}', /the variant name "\.\.\/a" cannot be a folder's/],
    ['{"variants":{"a":[{"pass":{}}]}}', /variants takes lists of steps by variant name/],
    ['{"variants":{"a":[{"pass":{"id":"simplify"}}]}}', /variants takes lists of steps by variant name/],
    ['{"variants":{"base":["simplify"]}}', /"base" is the model as it came/],
    ['{"targets":{"server":{"from":"nix"}}}', /there is no variant "nix"/],
    ['{"maxDrop":-7}', /maxDrop takes a number from 0, in the unit of the metric, or a share such as "1%", not -7/],
  ])('config %s', async (text, sentence) => {
    writeFileSync(join(cwd, 'bad.json'), text);
    await refused(['optimize', digits, '-c', 'bad.json', '-o', 'never'], sentence);
  });

  it('no command at all is a wrong call', async () => {
    const { code, stdout, stderr } = await runCli([]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^Usage: mlpack/);
    const inJson = await runCli(['optimize', '--json', '--nope']);
    expect(inJson).toMatchObject({ code: 2, stderr: '' });
    expect(JSON.parse(inJson.stdout)).toMatchObject({ ok: false, error: { code: 'usage.unknownOption' } });
  });
});

describe('data', () => {
  it('a link to nowhere beside it is not what is wrong', async () => {
    mkdirSync(join(cwd, 'linked'));
    symlinkSync('nowhere', join(cwd, 'linked/gone'));
    await refused(['eval', digits, '-d', 'linked'], /linked has no dataset\.json/);
  });

  it('that does not fit the model', async () => {
    const data = join(cwd, 'data');
    await cp(join(digits, 'eval'), data, { recursive: true });
    const given = JSON.parse(await readFile(join(data, 'dataset.json'), 'utf8')) as Record<string, unknown>;
    const write = (change: object): Promise<void> =>
      writeFile(join(data, 'dataset.json'), JSON.stringify({ ...given, ...change }));
    const argv = ['eval', digits, '-d', 'data'];
    await write({ output: 'logit' });
    await refused(argv, /no output "logit"; it has "logits"/);
    await write({ inputs: { imgae: (given.inputs as { image: unknown }).image } });
    await refused(argv, /input "image" that .* does not feed/);
    // Before anything is built.
    const { image } = given.inputs as { image: object };
    await write({ inputs: { image: { ...image, shape: [1, 14, 56] } } });
    const { code, stderr } = await runCli(['optimize', digits, '-d', 'data', '-o', 'never'], { cwd });
    expect(code).toBe(2);
    expect(stderr).toMatch(/Input "image": the model takes .* make \[\?, 1, 14, 56\]/);
    expect(stderr).not.toMatch(/build/);
    await write({ labels: { file: 'y_test.npy', names: ['a', 'b'] } });
    await refused(argv, /the label of sample \d+ is \d+; allowed are 0 to 1/);
    await write({ lables: 1 });
    await refused(argv, /unknown key "lables" \(did you mean "labels"\?\)/);
    await write({});
    await writeFile(join(data, 'x_test.npy'), (await readFile(join(data, 'x_test.npy'))).subarray(0, 5000));
    await refused(argv, /x_test\.npy is cut short/);
    await refused(['eval', digits, '-d', 'nowhere'], /there is no data folder "nowhere"/);
  });
});

it('a process ends with the same codes, and keeps names with spaces, quotes and accents', async () => {
  const name = `my model 'é" ü.onnx`;
  await cp(join(digits, 'model.onnx'), join(cwd, name));
  const good = spawnSync(process.execPath, [distBin, 'inspect', name], { cwd, encoding: 'utf8' });
  expect(good).toMatchObject({ status: 0, stderr: '' });
  expect(good.stdout).toContain(name);
  const bad = spawnSync(process.execPath, [distBin, 'inspect', 'text.onnx'], { cwd, encoding: 'utf8' });
  expect(bad).toMatchObject({ status: 2, stdout: '' });
  expect(bad.stderr).toMatch(/^mlpack: [^\n]+\n$/);
});
