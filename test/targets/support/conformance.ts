import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { homedir, hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { programRunners } from '../../../src/cli/program-runners.ts';
import { UserError } from '../../../src/errors.ts';
import { buildBundle } from '../../../src/target/bundle.ts';
import { findCompiler } from '../../../src/target/c-runner.ts';
import { checkBundle } from '../../../src/target/check.ts';
import { findChromium } from '../../../src/target/chromium.ts';
import { type Manifest, parseManifest } from '../../../src/target/manifest.ts';
import { packageRoot } from '../../../src/target/package-root.ts';
import { printSums } from '../../../src/target/sums.ts';
import type { Artifact, Target } from '../../../src/target/target.ts';
import { classifier, classifierFeeds, makeArtifact } from './artifact.ts';
import { linkModules } from './modules.ts';
import { note } from './note.ts';

/** Files that the bundle takes over from elsewhere, where a date or a path may be part of a text. */
function isForeign(path: string): boolean {
  return (
    path.includes('runtime/ort') ||
    path.endsWith('.onnx') ||
    path.endsWith('.ort') ||
    path.endsWith('.tflite') ||
    path.endsWith('.mlmodel') ||
    path.endsWith('.bin') ||
    path === 'package-lock.json'
  );
}

async function contents(place: string, manifest: Manifest): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const path of ['mlpack.json', ...manifest.files.map((file) => file.path)]) {
    files.set(path, await readFile(join(place, path)));
  }
  return files;
}

/** Installed by check itself; the others would be copies of the same hundreds of megabytes. */
const installedByCheck = new Set(['edge', 'server']);

/** A manifest and the sums that fit it: as a forger would write both. */
async function writeManifest(place: string, manifest: Manifest): Promise<void> {
  const text = JSON.stringify(manifest);
  await writeFile(join(place, 'mlpack.json'), text);
  const own = { path: 'mlpack.json', sha256: createHash('sha256').update(text).digest('hex') };
  await writeFile(join(place, 'SHA256SUMS'), printSums([own, ...manifest.files]));
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(file, bytes);
}

async function readBundle(place: string): Promise<Manifest> {
  return parseManifest(await readFile(join(place, 'mlpack.json'), 'utf8'));
}

/**
 * What holds for the bundles of every target.
 * @param dir temporary folder of the test file
 */
export function conforms(targets: readonly Target[], dir: string): void {
  /** Kinds of bundles of which a wrong recorded output was found. */
  const seenWrong = new Set<string>();
  describe.each(targets.map((target) => [target.id, target] as const))('target %s', (id, target) =>
    targetConforms(id, target, dir, seenWrong),
  );
}

function targetConforms(id: string, target: Target, dir: string, seenWrong: Set<string>): void {
  let artifact: Artifact;
  let place: string;
  let manifest: Manifest;

  beforeAll(async () => {
    const own = join(dir, id);
    await mkdir(own);
    artifact = await makeArtifact(own, classifier, classifierFeeds);
    place = join(own, 'bundle');
    await buildBundle(target, artifact, {}, place);
    manifest = await readBundle(place);
  });

  /** A copy to spoil. The large runtime files are left out where a test does not need them whole. */
  async function spoiled(name: string): Promise<string> {
    const copy = join(dir, id, name);
    await cp(place, copy, { recursive: true });
    return copy;
  }

  /** Whether everything is there that the bundle needs to be started. */
  async function installed(copy: string): Promise<boolean> {
    const { install } = manifest.commands;
    return install === null || existsSync(join(copy, 'node_modules')) || linkModules(copy, install);
  }

  const inspect = (copy: string) => checkBundle(copy, { replay: false });

  it('emits the same bytes twice, from models in different places', async () => {
    const again = join(dir, id, 'again');
    await mkdir(again);
    const elsewhere = await makeArtifact(again, classifier, classifierFeeds, { anew: true });
    const second = join(again, 'bundle');
    await buildBundle(target, elsewhere, {}, second);
    const [a, b] = [await contents(place, manifest), await contents(second, await readBundle(second))];
    expect([...b.keys()]).toEqual([...a.keys()]);
    for (const [path, bytes] of a) expect(b.get(path)?.equals(bytes), path).toBe(true);
  });

  it('lists every file with its size and SHA-256, sorted, and nothing else', async () => {
    const found = (await readdir(place, { recursive: true, withFileTypes: true })).filter(
      (entry) => !entry.isDirectory(),
    );
    expect(found.every((entry) => entry.isFile())).toBe(true);
    expect(found.length).toBe(manifest.files.length + 2);
    const sums = (await readFile(join(place, 'SHA256SUMS'), 'utf8')).trimEnd().split('\n');
    expect(sums.map((line) => line.slice(66))).toEqual(
      ['mlpack.json', ...manifest.files.map(({ path }) => path)].sort(),
    );
    const paths = manifest.files.map(({ path }) => path);
    expect(paths).toEqual([...paths].sort());
    for (const [path, bytes] of await contents(place, manifest)) {
      const row = manifest.files.find((file) => file.path === path);
      if (path === 'mlpack.json') continue;
      expect(row).toEqual({ path, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') });
    }
    expect((await inspect(place)).findings).toEqual([]);
  });

  it('holds no path of this machine and no time', async () => {
    const traces = [dir, tmpdir(), packageRoot(), homedir(), hostname()].filter((text) => text.length > 3);
    for (const [path, bytes] of await contents(place, manifest)) {
      if (isForeign(path)) continue;
      const text = bytes.toString('utf8');
      for (const trace of traces) expect(text.includes(trace), `${path} contains ${trace}`).toBe(false);
      expect(text, path).not.toMatch(/\b20\d\d-[01]\d-[0-3]\d[T ]\d\d:/);
    }
  });

  it('ships the model, its signature and its golden cases', async () => {
    const [main] = manifest.model.files;
    expect(await readFile(join(place, main?.path ?? ''))).toEqual(await readFile(artifact.files[0]?.source ?? ''));
    expect(manifest).toMatchObject({ target: id, variant: 'base', inputs: artifact.inputs, outputs: artifact.outputs });
    expect(manifest.golden).toHaveLength(artifact.golden.length);
    expect(manifest.requires).toEqual({ irVersion: 8, opsets: { '': 17 } });
    expect(manifest.model.sha256).toBe(artifact.files[0]?.sha256);
    for (const path of ['README.md', 'mlpack.json', 'MODEL_CARD.md', 'sbom.cdx.json', 'provenance.json'])
      expect(existsSync(join(place, path)), path).toBe(true);
  });

  it('keeps external data beside the model under its own name', async () => {
    const data = join(dir, id, 'weights.bin');
    // transformers.js looks for this name and no other.
    const name = id === 'transformers-js' ? 'model.onnx_data' : 'model.onnx.data';
    await writeFile(data, 'weights');
    const sha256 = createHash('sha256').update('weights').digest('hex');
    const two = {
      ...artifact,
      files: [...artifact.files, { name, source: data, bytes: 7, sha256 }],
    };
    const out = join(dir, id, 'external');
    await buildBundle(target, two, {}, out);
    const [model, extra] = (await readBundle(out)).model.files;
    expect(extra).toEqual({ name, path: join(dirname(model?.path ?? ''), name) });
    expect((await inspect(out)).ok).toBe(true);
  });

  it('refuses a model beyond its runtime', () => {
    const build = (change: Partial<Artifact>) =>
      buildBundle(target, { ...artifact, ...change }, {}, join(dir, id, 'never'));
    return Promise.all([
      expect(build({ irVersion: 14 })).rejects.toThrow('IR version 14'),
      expect(build({ opsets: { '': 27 } })).rejects.toThrow('opset 27'),
      expect(build({ inputs: [{ name: 'x', dtype: 'bfloat16', shape: [1] }] })).rejects.toThrow('"x" is bfloat16'),
    ]);
  });

  /**
   * File n is flipped in round r where bit r of n + 1 is set: every file at least once, and of any two one without the other in some
   * round. One after the other they would be as many readings of the whole bundle as it has files.
   */
  it('check names the files with one flipped bit, and no other', async () => {
    const copy = await spoiled('flipped');
    // Hashing the whole runtime every time would take minutes: large files are dropped from this manifest.
    const large = manifest.files.filter((file) => file.bytes > 5_000_000);
    const small = manifest.files.filter((file) => !large.includes(file));
    await writeManifest(copy, { ...manifest, files: small });
    for (const { path } of large) await rm(join(copy, path));
    const files = small.filter(({ bytes }) => bytes > 0);
    for (let round = 0; files.length >> round > 0; round++) {
      const flipped = files.filter((_, n) => ((n + 1) >> round) & 1);
      for (const { path, bytes } of flipped) await flip(join(copy, path), bytes >> 1);
      const { ok, findings, replays } = await checkBundle(copy, { runners: programRunners });
      const codes = (list: typeof findings) => list.map(({ code, file }) => `${code} ${file}`).sort();
      const wrong = flipped.map(({ path }) => `hash-mismatch ${path}`);
      expect({ ok, codes: codes(findings), replays }).toEqual({
        ok: false,
        codes: wrong.sort(),
        replays: [],
      });
      for (const { path, bytes } of flipped) await flip(join(copy, path), bytes >> 1);
    }
    expect((await inspect(copy)).findings).toEqual([]);
  });

  it('check names what is missing, extra, shortened or a link', async () => {
    const copy = await spoiled('changed');
    const model = manifest.model.files[0]?.path ?? '';
    await rename(join(copy, model), join(copy, 'elsewhere.onnx'));
    await mkdir(join(copy, 'deep/er'), { recursive: true });
    await writeFile(join(copy, 'deep/er/extra'), '');
    await truncate(join(copy, 'README.md'), 3);
    const input = manifest.golden[0]?.inputs[0]?.file ?? '';
    await rm(join(copy, input));
    await symlink(join(place, input), join(copy, input));
    const result = await inspect(copy);
    expect(result.ok).toBe(false);
    const found = result.findings.map(({ code, file }) => `${code} ${file}`).sort();
    expect(found).toEqual(
      [
        'extra-file deep/er/extra',
        'extra-file elsewhere.onnx',
        `missing-file ${model}`,
        'size-mismatch README.md',
        `symlink ${input}`,
      ].sort(),
    );
  });

  it('check refuses a manifest that lies', async () => {
    const copy = await spoiled('lying');
    const write = (change: object) => writeManifest(copy, { ...manifest, ...change });
    const codes = async () => (await inspect(copy)).findings.map(({ code }) => code);
    const [first, ...rest] = manifest.files;
    await write({ files: [{ ...first, path: '../../outside' }, ...rest] });
    expect(await codes()).toEqual(['bundle-path']);
    await write({ files: [first, ...manifest.files] });
    expect(await codes()).toEqual(['bundle-path']);
    await write({ model: { ...manifest.model, files: [{ name: 'm', path: '../m' }] } });
    expect(await codes()).toEqual(['unlisted-file']);
    await write({ model: { ...manifest.model, sha256: '0'.repeat(64) } });
    expect(await codes()).toEqual(['model-digest']);
    await write({ surprise: true });
    expect(await codes()).toEqual(['bundle-manifest']);
    await writeFile(join(copy, 'mlpack.json'), '{"schema":');
    expect(await codes()).toEqual(['bundle-manifest']);
    await rm(join(copy, 'mlpack.json'));
    await expect(inspect(copy)).rejects.toMatchObject({ code: 'bundle-open' });
    await write({ commands: { install: null, start: 'sh -c evil' } });
    await expect(checkBundle(copy)).rejects.toMatchObject({ code: 'bundle-command' });
  });

  it('starts as documented and answers the golden inputs as recorded', async ({ skip }) => {
    if (id === 'embedded-c' && (await findCompiler()) === undefined) {
      note('no C compiler on this machine: the C bundle is not compiled');
      skip();
    }
    if (manifest.kind === 'browser' && findChromium() === undefined) {
      note('no Chromium on this machine: the browser bundle is not replayed');
      skip();
    }
    if (!installedByCheck.has(id) && !(await installed(place))) skip();
    const result = await checkBundle(place, { runners: programRunners }).catch((error: unknown) => {
      if (!(error instanceof UserError) || error.code !== 'bundle-install') throw error;
      note(`the ${id} bundle is not replayed, since it cannot be installed here: ${error.message}`);
      return skip();
    });
    expect(result).toMatchObject({ ok: true, findings: [], notes: [] });
    const replayed = [...new Set(result.replays.map(({ provider }) => provider))];
    // What apps of a browser open is replayed where mlpack runs.
    expect(replayed).toEqual(id === 'transformers-js' ? ['cpu'] : manifest.providers);
    for (const replay of result.replays) expect(replay).toMatchObject({ ok: true, cases: artifact.golden.length });
    if (manifest.kind === 'browser') {
      const how = result.replays.map((replay) => replay.how);
      expect(how.slice(0, 2)).toEqual(['WebAssembly, 1 thread', 'WebAssembly, 2 threads']);
      expect(how[2]).toMatch(/^WebGPU on .*swiftshader.*correctness only$/);
    }
    expect((await inspect(place)).ok).toBe(true);
  }, 240_000);

  it('check finds a wrong recorded output by replaying', async ({ skip }) => {
    // Replayed by the same code as one before, and installing it once more takes seconds.
    if (manifest.commands.install !== null && seenWrong.has(manifest.kind)) skip();
    seenWrong.add(manifest.kind);
    if (id === 'embedded-c' && (await findCompiler()) === undefined) skip();
    if (manifest.kind === 'browser' && findChromium() === undefined) skip();
    const wrong = await spoiled('wrong');
    const file = manifest.golden[1]?.outputs[0]?.file ?? '';
    const bytes = await readFile(join(wrong, file));
    bytes.writeFloatLE(123.5, 8);
    await writeFile(join(wrong, file), bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const files = manifest.files.map((row) => (row.path === file ? { ...row, sha256 } : row));
    await writeManifest(wrong, { ...manifest, files });
    if (!(await installed(wrong))) skip();
    const result = await checkBundle(wrong, { runners: programRunners });
    expect(result.ok).toBe(false);
    expect(new Set(result.findings.map(({ code, file }) => `${code} ${file}`))).toEqual(
      new Set(['golden-mismatch golden/1/output-0.bin']),
    );
    expect(result.findings[0]?.message).toMatch(
      /^Case 1, output "scores" \(.*\): has .* at element 2 instead of 123.5\.$/,
    );
  }, 240_000);
}
