import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { presets } from '../../passes/presets.ts';
import type { PassList } from '../../src/cli/pass-list.ts';
import { sourceStack } from '../../src/cli/source-stack.ts';
import { distBin } from './support.ts';

const before = process.listenerCount('message');

/** The files that Node loads for a command: its coverage output lists every script. */
function scriptsOf(argv: readonly string[], code = 0): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'mlpack-test-'));
  try {
    const { status } = spawnSync(process.execPath, [distBin, ...argv], {
      env: { ...process.env, NODE_V8_COVERAGE: dir },
    });
    expect(status).toBe(code);
    const files = readdirSync(dir).filter((name) => name.startsWith('coverage'));
    expect(files).toHaveLength(1);
    const { result } = JSON.parse(readFileSync(join(dir, files[0] ?? ''), 'utf8')) as { result: { url: string }[] };
    return result.map(({ url }) => url);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

it('--help, --version and the help of a pass load neither the runtime nor the codec nor a pass', () => {
  for (const argv of [['--help'], ['--version'], ['quantize-dynamic', '--help']]) {
    const scripts = scriptsOf(argv);
    const own = scripts.filter((url) => url.includes('/dist/'));
    // All of it from the built program, and of that the command line alone: rooms and passes have files of their own.
    expect(own.every((url) => url.includes('/dist/bin/'))).toBe(true);
    expect(own.length).toBeLessThan(12);
    const heavy =
      /onnxruntime|protobufjs|transformers|sharp|playwright|yaml|tinybench|bin\/(core|engine|transform|quantize|rewrites|prune|targets|reports?|pass-(?!list)[a-z0-9-]+)\.js/;
    expect(scripts.filter((url) => heavy.test(url))).toEqual([]);
  }
});

it('the list of passes that --help reads is the registry, and says where each pass is', async () => {
  const list = JSON.parse(readFileSync(join(distBin, '..', 'list.json'), 'utf8')) as PassList;
  const wanted = {
    passes: passes.map(({ id, summary, options, rules }) => ({ id, summary, options, rules })),
    presets: Object.keys(presets),
  };
  const bare = list.passes.map(({ module: _, exported: __, ...pass }) => pass);
  expect({ ...list, passes: bare }).toEqual(JSON.parse(JSON.stringify(wanted)));
  for (const { id, module = '', exported = '' } of list.passes) {
    const file = (await import(pathToFileURL(join(distBin, '..', module)).href)) as Record<string, { id: string }>;
    expect(file[exported]?.id).toBe(id);
  }
});

it('the rooms that help does without are files of the built program', () => {
  const names = readdirSync(join(distBin, '..'));
  for (const room of ['core', 'engine', 'transform', 'quantize', 'rewrites', 'prune', 'targets', 'report', 'reports'])
    expect(names).toContain(`${room}.js`);
  // Few files are the point: a pass command loads about thirty.
  const argv = ['quantize-dynamic', 'no-such.onnx', '-o', join(tmpdir(), 'never-written.onnx'), '--json'];
  expect(scriptsOf(argv, 2).filter((url) => url.includes('/dist/')).length).toBeLessThan(30);
});

it('a stack of the built program names the sources', () => {
  const file = join(distBin, '..', 'errors.js');
  const line = readFileSync(file, 'utf8')
    .split('\n')
    .findIndex((text) => text.includes('function bug('));
  expect(line).toBeGreaterThan(0);
  const at = `${pathToFileURL(file).href}:${line + 1}:1`;
  expect(sourceStack(`BugError: x\n    at bug (${at})\n    at node:internal/x:1:2`)).toMatch(
    /^BugError: x\n {4}at bug \(src\/errors\.ts:\d+:\d+\)\n {4}at node:internal\/x:1:2$/,
  );
});

it('child processes of the built program run what they were started for, and no room runs it', async () => {
  const model = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));
  const bundled = (await import(pathToFileURL(join(distBin, '..', 'engine.js')).href)) as object;
  expect(Object.keys(bundled).length).toBeGreaterThan(0);
  expect(process.listenerCount('message')).toBe(before);
  const { status, stdout } = spawnSync(
    process.execPath,
    [distBin, 'bench', model, '--seconds', '0.05', '--concurrency', '1', '--json'],
    { encoding: 'utf8' },
  );
  expect(JSON.parse(stdout)).not.toHaveProperty('error');
  expect(status).toBe(0);
}, 60_000);
