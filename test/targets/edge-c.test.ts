import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { programRunners } from '../../src/cli/program-runners.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { checkBundle } from '../../src/target/check.ts';
import type { Artifact } from '../../src/target/target.ts';
import { edge } from '../../targets/edge/index.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { makeOrtHome } from './support/ort-home.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const bundle = join(dir, 'bundle');
const can = process.platform === 'linux' && has('gcc');
if (!can) note('no gcc for Linux on this machine: the C library of the edge bundle is not compiled');
let artifact: Artifact;
let home = '';

/** Strings are not exchanged in C; every other type is. */
const numbers = everyType
  .replace('string[n] text_in, ', '')
  .replace('string[n] text_out, ', '')
  .replace('  text_out = Identity (text_in)\n', '');

beforeAll(async () => {
  artifact = await makeArtifact(dir, classifier, classifierFeeds);
  await buildBundle(edge, artifact, { lang: 'c' }, bundle);
  home = await makeOrtHome(dir);
});
async function tempFolder(name: string): Promise<string> {
  await mkdir(join(dir, name));
  return join(dir, name);
}

afterEach(() => {
  vi.unstubAllEnvs();
});

const check = (place: string, ortHome = home) => {
  vi.stubEnv('ORT_HOME', ortHome);
  return checkBundle(place, { runners: programRunners });
};

describe('the C library', () => {
  it('replays the recorded inputs, and says when there is no ONNX Runtime to link', async ({ skip }) => {
    const without = await check(bundle, join(dir, 'nowhere'));
    expect(without.notes).toEqual([expect.stringContaining('ORT_HOME names no ONNX Runtime')]);
    expect(without.replays.map(({ how }) => how)).toEqual(['model/model.onnx, ONNX Runtime']);
    if (!can) return skip();
    const result = await check(bundle);
    expect(result).toMatchObject({ ok: true, findings: [], notes: [] });
    expect(result.replays).toHaveLength(2);
    for (const replay of result.replays) expect(replay).toMatchObject({ ok: true, cases: 2 });
  });

  it('is found out where it answers otherwise than recorded', async ({ skip }) => {
    if (!can) return skip();
    const [first, ...rest] = artifact.golden;
    if (!first) throw new Error('no golden case');
    const outputs = first.outputs.map((one) => ({ ...one, bytes: new Uint8Array(one.bytes.length) }));
    const wrong = join(dir, 'wrong');
    await buildBundle(edge, { ...artifact, golden: [{ ...first, outputs }, ...rest] }, { lang: 'c' }, wrong);
    const { findings } = await check(wrong);
    expect(findings.map(({ code, message }) => [code, message.includes('compiled by')])).toEqual(
      expect.arrayContaining([['golden-mismatch', true]]),
    );
  });

  it('takes every element type but strings', async ({ skip }) => {
    const types = join(dir, 'types');
    const feeds = everyTypeFeeds.map(({ text_in: _, ...others }) => others);
    const own = await tempFolder('types-source');
    const all = await makeArtifact(own, everyType, everyTypeFeeds);
    expect(edge.supports(all, { lang: 'c', tuf: false })).toEqual({
      ok: false,
      because: [
        'Input "text_in" is string, which the C program does not exchange.',
        'Output "text_out" is string, which the C program does not exchange.',
      ],
    });
    if (!can) return skip();
    await buildBundle(edge, await makeArtifact(own, numbers, feeds), { lang: 'c' }, types);
    expect((await check(types)).replays.map(({ ok }) => ok)).toEqual([true, true]);
  });

  it('compiles without warnings and runs without a leak or a bad access', async ({ skip }) => {
    if (!can) return skip();
    const binary = join(dir, 'sanitized');
    const flags = [
      '-std=c99',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-g',
      '-O1',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
    ];
    const sources = ['src/model_tiny.c', 'src/model_data.S', 'test/golden.c'];
    const search = [
      '-I',
      'include',
      '-I',
      'model',
      '-I',
      join(home, 'include'),
      '-L',
      join(home, 'lib'),
      `-Wl,-rpath,${join(home, 'lib')}`,
    ];
    execFileSync('gcc', [...flags, ...search, ...sources, '-lonnxruntime', '-lm', '-o', binary], {
      cwd: bundle,
      stdio: 'pipe',
    });
    // The runtime keeps a few allocations of its own until the end.
    const run = spawnSync(binary, [bundle], {
      encoding: 'utf8',
      env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    });
    expect([run.status, run.stderr]).toEqual([0, '']);
    expect(run.stdout.trim().split('\n')).toHaveLength(2);
  });

  it('gives Windows the path of the model in its own letters', ({ skip }) => {
    if (!can) return skip();
    const flags = [
      '-E',
      '-P',
      '-D_WIN32',
      '-DMODEL_TINY_FILE="C:/m.onnx"',
      '-I',
      'include',
      '-I',
      join(home, 'include'),
    ];
    const text = execFileSync('gcc', [...flags, 'src/model_tiny.c'], { cwd: bundle, encoding: 'utf8' });
    expect(text).toMatch(/CreateSession\(model->env, L"" "C:\/m\.onnx"/);
  });

  it('says which file cannot be read, and ends with 2', ({ skip }) => {
    if (!can) return skip();
    const run = spawnSync(join(dir, 'sanitized'), [join(dir, 'nowhere')], {
      encoding: 'utf8',
      env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    });
    expect([run.status, run.stderr]).toEqual([
      2,
      expect.stringMatching(/^cannot read 1152 bytes of .*golden\/0\/input-0\.bin\n$/),
    ]);
  });

  it('is built by CMake with every way to get the model in', async ({ skip }) => {
    if (!can || !has('cmake')) {
      note('no cmake or gcc on this machine: the build of the C library is not tried');
      return skip();
    }
    for (const way of ['incbin', 'array', 'object', 'file']) {
      const build = join(dir, `build-${way}`);
      const run = (...args: string[]): void =>
        void execFileSync('cmake', args, { stdio: 'pipe', env: { ...process.env, ORT_HOME: home } });
      run('-S', bundle, '-B', build, `-DMODEL_EMBED=${way}`, '-DCMAKE_BUILD_TYPE=Release');
      run('--build', build);
      const test = spawnSync('ctest', ['--test-dir', build, '--output-on-failure'], { encoding: 'utf8' });
      expect([way, test.status, test.stdout], test.stdout).toEqual([
        way,
        0,
        expect.stringContaining('100% tests passed'),
      ]);
    }
    const wrong = spawnSync('cmake', ['-S', bundle, '-B', join(dir, 'build-no'), '-DMODEL_EMBED=magic'], {
      encoding: 'utf8',
      env: { ...process.env, ORT_HOME: home },
    });
    expect([wrong.status === 0, wrong.stderr]).toEqual([
      false,
      expect.stringContaining('MODEL_EMBED is incbin, array, object or file, not magic'),
    ]);
  });

  it('reads weights in files of their own by the path of the model', async () => {
    const data = join(dir, 'weights.bin');
    await writeFile(data, 'weights');
    const sha256 = createHash('sha256').update('weights').digest('hex');
    const two = {
      ...artifact,
      files: [...artifact.files, { name: 'model.onnx.data', source: data, bytes: 7, sha256 }],
    };
    const place = join(dir, 'external');
    await buildBundle(edge, two, { lang: 'c' }, place);
    expect(await readFile(join(place, 'CMakeLists.txt'), 'utf8')).toContain('set(embed_default file)');
  });
});
