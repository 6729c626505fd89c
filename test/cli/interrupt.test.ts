import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { distBin } from './support.ts';

const model = fileURLToPath(new URL('../../models/digits', import.meta.url));

/** Two variants and few samples: this is about stopping. */
const optimize = ['optimize', model, '-o', 'out', '-v', 'int8', '--samples', '20'];

let home: string;
/** Empty for every test: a variant that is taken from the cache is never built. */
let cache: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
  cache = await mkdtemp(join(tmpdir(), 'mlpack-test-cache-'));
});
afterEach(() => Promise.all([home, cache].map((folder) => rm(folder, { recursive: true, force: true }))));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs the command, and JavaScript within it the first time its talk says where it is. Read here, the talk may be old: on a busy machine the command
 * could have ended by then.
 */
async function runUntil(argv: readonly string[], stage: RegExp, act: string): Promise<Ended> {
  const inside = `import { mkdirSync, writeFileSync } from 'node:fs';
const write = process.stderr.write.bind(process.stderr);
let said = '';
let acts = process.connected !== true;
process.stderr.write = (text, ...rest) => {
  const taken = write(text, ...rest);
  said += text;
  if (acts && ${stage}.test(said)) {
    acts = false;
    ${act}
  }
  return taken;
};`;
  const first = `--import=data:text/javascript,${encodeURIComponent(inside)}`;
  // In a group of its own, as in a terminal: Ctrl-C reaches the children too.
  const child = spawn(process.execPath, [first, distBin, ...argv], {
    cwd: home,
    detached: true,
    env: { ...process.env, TMPDIR: home, MLPACK_CACHE: cache },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  expect(stderr).toMatch(stage);
  return { code, stdout, stderr };
}

/** Ctrl-C where the command's talk says so. */
const interruptAt = (argv: readonly string[], stage: RegExp, signals = 1): Promise<Ended> =>
  runUntil(argv, stage, "process.kill(-process.pid, 'SIGINT');".repeat(signals));

it.each([/^read/m, /^build int8/m, /^measure base/m, /^measure int8/m, /^measure latency/m])(
  'optimize, interrupted at %s: exit code 130, nothing left, neither beside the output nor among temporary files',
  async (stage) => {
    const { code, stdout, stderr } = await interruptAt([...optimize, '--seconds', '5'], stage);
    expect(stderr).toMatch(/^mlpack: interrupted; nothing was left behind\.$/m);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe('');
    expect(code).toBe(130);
    expect(await readdir(home)).toEqual([]);
  },
);

it('--json says it in one document', async () => {
  const { code, stdout } = await interruptAt([...optimize, '--json'], /^measure int8/m);
  expect(code).toBe(130);
  expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'interrupted' } });
  expect(await readdir(home)).toEqual([]);
});

it('bench stops in the middle', async () => {
  const { code } = await interruptAt(['bench', model, '--seconds', '60'], /^measure/m);
  expect(code).toBe(130);
});

it('run, interrupted, leaves no file', async () => {
  const { code } = await interruptAt(['run', model, 'simplify', 'fuse', '-o', 'x.onnx', '--verify'], /^simplify/m);
  expect(code).toBe(130);
  expect(await readdir(home)).toEqual([]);
});

it('a second Ctrl-C ends at once, and leaves nothing either', async () => {
  const { code } = await interruptAt([...optimize, '--seconds', '5'], /^measure base/m, 2);
  expect(code).toBe(130);
  expect(await readdir(home)).toEqual([]);
});

it('a reader that has seen enough ends the command quietly', () => {
  // `true` is gone before the first line is written.
  const command = `'${process.execPath}' '${distBin}' explain '${model}' simplify -q | true`;
  const { stderr } = spawnSync('sh', ['-c', command], { encoding: 'utf8' });
  expect(stderr).toBe('');
});

it('talk that nobody reads any more (`2>&1 | head -1`) does not cost the work', async () => {
  const child = spawn(process.execPath, [distBin, ...optimize, '--no-bench'], {
    cwd: home,
    env: { ...process.env, TMPDIR: home, MLPACK_CACHE: cache },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr.once('data', () => child.stderr.destroy());
  expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
  expect(await readdir(home)).toEqual(['out']);
});

it('an output that another run makes meanwhile is not replaced without --force', async () => {
  const made = `mkdirSync('out'); writeFileSync('out/report.json', '{"schema": "mlpack.report/1"}');`;
  const { code, stderr } = await runUntil([...optimize, '--no-bench'], /^measure/m, made);
  expect([code, stderr]).toEqual([2, expect.stringContaining('exists; give another --out, or --force')]);
  expect(await readdir(home)).toEqual(['out']);
  expect(await readdir(join(home, 'out'))).toEqual(['report.json']);
});
