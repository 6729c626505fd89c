import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { opt } from '../../src/pass/options.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { planBundle } from '../../src/target/plan.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const artifact = await makeArtifact(dir, classifier, classifierFeeds);

/** A target that emits what a test asks for, and the model. */
function targetOf(files: readonly BundleFile[], withModel = true) {
  return defineTarget({
    id: 'probe',
    summary: 'for tests',
    options: { size: opt.int(3, 'a number', { min: 1 }) },
    providers: ['cpu'],
    runtime: { package: 'none', version: '0' },
    supports: (one: Artifact) =>
      one.irVersion > 13 ? { ok: false, because: ['Too new.', 'Really.'] } : { ok: true, because: ['Mind the gap.'] },
    *emit(one: Artifact) {
      yield* files;
      if (withModel) for (const { name, source } of one.files) yield { path: `model/${name}`, from: source };
    },
    commands: () => ({ start: 'node x.mjs', kind: 'http-v2' }),
  });
}

const plain = targetOf([{ path: 'x.mjs', bytes: 'export {};\n' }]);

describe('planning', () => {
  it('sorts files, fills in defaults, keeps the notes', async () => {
    const plan = await planBundle(plain, artifact, {});
    const paths = plan.files.map(({ path }) => path);
    expect(paths).toEqual([...paths].sort());
    expect(plan.manifest.options).toEqual({ size: 3 });
    expect(plan.manifest.notes).toEqual(['Mind the gap.']);
    expect(plan.manifest.model.files).toEqual([{ name: 'model.onnx', path: 'model/model.onnx' }]);
    expect(plan.manifest.golden).toHaveLength(2);
  });

  it('holds no two dimensions to one number that have names which say nothing', async () => {
    const picture = { name: 'x', dtype: 'float32', shape: [1, 3, '?', '?'] } as const;
    const rows = { name: 'y', dtype: 'float32', shape: ['n', 'None', ''] } as const;
    const { manifest } = await planBundle(plain, { ...artifact, inputs: [picture], outputs: [rows] }, {});
    expect(manifest.inputs[0]?.shape).toEqual([1, 3, null, null]);
    expect(manifest.outputs[0]?.shape).toEqual(['n', null, null]);
  });

  it('says what it refuses', async () => {
    await expect(planBundle(plain, { ...artifact, irVersion: 14 }, {})).rejects.toThrow(
      'Target probe cannot take tiny (base): Too new. Really.',
    );
    await expect(planBundle(plain, artifact, { size: 0 })).rejects.toThrow(
      'probe: size takes a whole number, at least 1, not 0',
    );
    await expect(planBundle(plain, artifact, { sise: 1 })).rejects.toThrow(
      'has no option "sise" (did you mean "size"?)',
    );
    await expect(planBundle(targetOf([], false), artifact, {})).rejects.toThrow('leaves out the model file model.onnx');
    await expect(planBundle(targetOf([{ path: '../x', bytes: '' }]), artifact, {})).rejects.toThrow('".." part');
    await expect(planBundle(targetOf([{ path: 'mlpack.json', bytes: '' }]), artifact, {})).rejects.toThrow(
      'occurs twice',
    );
    await expect(planBundle(plain, { ...artifact, name: '../a' }, {})).rejects.toThrow('cannot name');
  });
});

describe('writing', () => {
  it('gives whole bundles with real files, and nothing beside them', async () => {
    const place = join(dir, 'one', 'bundle');
    const result = await buildBundle(plain, artifact, {}, place);
    expect(await readdir(join(dir, 'one'))).toEqual(['bundle']);
    expect(await readdir(place)).toEqual([
      'MODEL_CARD.md',
      'SHA256SUMS',
      'golden',
      'mlpack.json',
      'model',
      'provenance.json',
      'sbom.cdx.json',
      'x.mjs',
    ]);
    expect(await readFile(join(place, 'model/model.onnx'))).toEqual(await readFile(artifact.files[0]?.source ?? ''));
    const manifest = JSON.parse(await readFile(join(place, 'mlpack.json'), 'utf8'));
    const own = (await stat(join(place, 'mlpack.json'))).size + (await stat(join(place, 'SHA256SUMS'))).size;
    expect(result).toMatchObject({ target: 'probe', dir: place, variant: 'base', files: manifest.files.length + 2 });
    expect(result.bytes).toBe(manifest.files.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, own));
  });

  it('replaces a bundle only with force, and never anything else', async () => {
    const place = join(dir, 'two');
    await buildBundle(plain, artifact, {}, place);
    await expect(buildBundle(plain, artifact, {}, place)).rejects.toThrow('use --force');
    await writeFile(join(place, 'left-over'), 'x');
    await buildBundle(plain, artifact, {}, place, { force: true });
    expect(await readdir(place)).not.toContain('left-over');

    const home = join(dir, 'home');
    await mkdir(home);
    await buildBundle(plain, artifact, {}, home);
    const precious = join(dir, 'precious');
    await mkdir(precious);
    await writeFile(join(precious, 'thesis.txt'), 'years');
    await expect(buildBundle(plain, artifact, {}, precious, { force: true })).rejects.toThrow(
      'is not a bundle and is left alone',
    );
    expect(await readdir(precious)).toEqual(['thesis.txt']);
    const file = join(dir, 'file');
    await writeFile(file, '');
    await expect(buildBundle(plain, artifact, {}, file, { force: true })).rejects.toThrow('is not a folder');
    await symlink(precious, join(dir, 'link'));
    await expect(buildBundle(plain, artifact, {}, join(dir, 'link'), { force: true })).rejects.toThrow(
      'is not a folder',
    );
  });

  it('leaves nothing behind when it fails half-way', async () => {
    const parent = join(dir, 'three');
    const place = join(parent, 'bundle');
    const missing = targetOf([{ path: 'a', from: join(dir, 'not-there') }]);
    await expect(buildBundle(missing, artifact, {}, place)).rejects.toMatchObject({ code: 'bundle-write-failed' });
    expect(await readdir(parent)).toEqual([]);
    const changed = { ...artifact, files: artifact.files.map((file) => ({ ...file, sha256: '0'.repeat(64) })) };
    await expect(buildBundle(plain, changed, {}, place)).rejects.toThrow('changed while the bundle was being written');
    await expect(buildBundle(plain, artifact, {}, place, { signal: AbortSignal.abort() })).rejects.toThrow('abort');
    expect(await readdir(parent)).toEqual([]);
    await buildBundle(plain, artifact, {}, place);
    await expect(buildBundle(missing, artifact, {}, place, { force: true })).rejects.toThrow();
    expect(await readdir(place)).toContain('mlpack.json');
    expect(await readdir(parent)).toEqual(['bundle']);
  });

  it('names a folder that cannot be made', async () => {
    const file = join(dir, 'in-the-way');
    await writeFile(file, '');
    await expect(buildBundle(plain, artifact, {}, join(file, 'sub', 'bundle'))).rejects.toMatchObject({
      code: 'bundle-write-failed',
    });
  });
});
