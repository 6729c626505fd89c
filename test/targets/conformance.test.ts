import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { homedir, hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { programRunners } from '../../src/cli/program-runners.ts';
import { UserError } from '../../src/errors.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { findCompiler } from '../../src/target/c-runner.ts';
import { checkBundle } from '../../src/target/check.ts';
import { findChromium } from '../../src/target/chromium.ts';
import { type Manifest, parseManifest } from '../../src/target/manifest.ts';
import { packageRoot } from '../../src/target/package-root.ts';
import { printSums } from '../../src/target/sums.ts';
import type { Artifact, Target } from '../../src/target/target.ts';
import { targets } from '../../targets/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

it('the registry equals the folder', async () => {
  const entries = await readdir(join(packageRoot(), 'targets'), { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(targets.map(({ id }) => id)).toEqual(folders.sort());
});

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

/** A manifest and the sums that fit it: as a forger would write both. */
async function writeManifest(place: string, manifest: Manifest): Promise<void> {
  const text = JSON.stringify(manifest);
  await writeFile(join(place, 'mlpack.json'), text);
  const own = { path: 'mlpack.json', sha256: createHash('sha256').update(text).digest('hex') };
  await writeFile(join(place, 'SHA256SUMS'), printSums([own, ...manifest.files]));
}

async function readBundle(place: string): Promise<Manifest> {
  return parseManifest(await readFile(join(place, 'mlpack.json'), 'utf8'));
}

/** Kinds of bundles of which a wrong recorded output was found. */
const seenWrong = new Set<string>();

describe.each(targets.map((target) => [target.id, target] as const))('target %s', (id: string, target: Target) => {
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

  const inspect = (copy: string) => checkBundle(copy, { replay: false });

  it('emits the same bytes twice, from models in different places', async () => {
    const again = join(dir, id, 'again');
    await mkdir(again);
    const elsewhere = await makeArtifact(again, classifier, classifierFeeds);
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

  it('check names a file with one flipped bit, every file in turn', async () => {
    const copy = await spoiled('flipped');
    for (const { path, bytes } of manifest.files) {
      if (bytes === 0 || bytes > 5_000_000) continue;
      const file = join(copy, path);
      const whole = await readFile(file);
      const bad = Buffer.from(whole);
      bad[bytes >> 1] = (bad[bytes >> 1] ?? 0) ^ 1;
      await writeFile(file, bad);
      const { ok, findings, replays } = await inspectOnly(copy, path);
      expect({ ok, codes: findings.map(({ code, file: at }) => [code, at]), replays }, path).toEqual({
        ok: false,
        codes: [['hash-mismatch', path]],
        replays: [],
      });
      await writeFile(file, whole);
    }
    expect((await inspect(copy)).ok).toBe(true);
  });

  /** Hashing the whole runtime for every flipped file would take minutes: large files are dropped from this manifest. */
  async function inspectOnly(copy: string, path: string) {
    const small = manifest.files.filter((file) => file.bytes <= 5_000_000);
    await writeManifest(copy, { ...manifest, files: small });
    for (const { path: large } of manifest.files.filter((file) => file.bytes > 5_000_000)) {
      await rm(join(copy, large), { force: true });
    }
    const result = await inspect(copy);
    expect(result.findings.length, path).toBeGreaterThan(0);
    return result;
  }

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
    const cases = artifact.golden.map(({ outputs, ...rest }, n) => ({
      ...rest,
      outputs: outputs.map((tensor) => {
        if (n !== 1) return tensor;
        const bytes = new Uint8Array(tensor.bytes);
        new DataView(bytes.buffer).setFloat32(8, 123.5, true);
        return { ...tensor, bytes };
      }),
    }));
    const wrong = join(dir, id, 'wrong');
    await buildBundle(target, { ...artifact, golden: cases }, {}, wrong);
    const result = await checkBundle(wrong, { runners: programRunners }).catch((error: unknown) => {
      if (!(error instanceof UserError) || error.code !== 'bundle-install') throw error;
      return skip();
    });
    expect(result.ok).toBe(false);
    expect(new Set(result.findings.map(({ code, file }) => `${code} ${file}`))).toEqual(
      new Set(['golden-mismatch golden/1/output-0.bin']),
    );
    expect(result.findings[0]?.message).toMatch(
      /^Case 1, output "scores" \(.*\): has .* at element 2 instead of 123.5\.$/,
    );
  }, 240_000);
});
