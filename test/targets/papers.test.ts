import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Spec } from '@cyclonedx/cyclonedx-library';
import Ajv from 'ajv';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { printCard } from '../../src/target/card.ts';
import { type Evidence, evidenceOf } from '../../src/target/evidence.ts';
import type { Manifest } from '../../src/target/manifest.ts';
import { dependencyRoot, packageRoot } from '../../src/target/package-root.ts';
import { planBundle } from '../../src/target/plan.ts';
import { printProvenance } from '../../src/target/provenance.ts';
import { compareVersions, nextRelease } from '../../src/target/release.ts';
import { printSbom } from '../../src/target/sbom.ts';
import { parseSums, printSums } from '../../src/target/sums.ts';
import type { Artifact, BundleFile, Workshop } from '../../src/target/target.ts';
import { writeBundle } from '../../src/target/write.ts';
import { browser } from '../../targets/browser/index.ts';
import { targets } from '../../targets/index.ts';
import { runCli } from '../cli/support.ts';
import { sampleReport } from '../reports/sample.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const made = await makeArtifact(dir, classifier, classifierFeeds);
/** Nothing is looked for that says what a browser's runtime needs: papers do not say it. */
const { webFunctionsRun: _, ...workshop } = made.workshop as Workshop;
const artifact: Artifact = { ...made, workshop };

const evidence: Evidence = {
  base: { name: 'someone/resnet', sha256: 'b'.repeat(64), bytes: 4_000_000 },
  recipe: [
    { pass: 'simplify', options: {} },
    { pass: 'quantize-static', options: { weights: 'auto', bits: 8 } },
  ],
  seed: 0,
  bytes: 1_000_000,
  parameters: 1000,
  data: { name: 'digits', samples: 500, sha256: 'c'.repeat(64) },
  accuracy: { metric: 'top1', value: 0.9712, base: 0.9724, dropCi: [-0.001, 0.004] },
  fidelity: { sqnrDb: 31.27, agreement: 0.996, samples: 500 },
  latency: [{ provider: 'cpu', p50Ms: 1.234, ratioToBase: 0.41, ratioCi: [0.4, 0.42] }],
  machine: 'a CPU, 2 cores, ONNX Runtime 1.30.0',
};

const root = dependencyRoot('@cyclonedx/cyclonedx-library', installed());
function installed(): string {
  const place = join(packageRoot(), 'node_modules/@cyclonedx/cyclonedx-library/package.json');
  return (JSON.parse(readFileSync(place, 'utf8')) as { version: string }).version;
}
const schema = (name: string) =>
  JSON.parse(readFileSync(join(root ?? '', `res/schema/${name}.SNAPSHOT.schema.json`), 'utf8')) as object;
const ajv = new Ajv.default({ strict: false, validateFormats: false });
for (const name of ['spdx', 'jsf-0.82', 'cryptography-defs'])
  ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
const validate = ajv.compile(schema(`bom-${Spec.Version.v1dot6}`));

function check(text: string): void {
  validate(JSON.parse(text));
  expect(validate.errors).toBeNull();
}

async function manifestFor(
  id: string,
  change: object = {},
): Promise<{ manifest: Omit<Manifest, 'files'>; files: readonly BundleFile[] }> {
  const target = targets.find((one) => one.id === id);
  if (!target) throw new Error(id);
  return planBundle(target, { ...artifact, ...change }, {});
}

describe('bill of materials', () => {
  it.each(targets.map(({ id }) => id))('of %s fits the schema of CycloneDX 1.6', async (id) => {
    for (const change of [{}, { evidence }, { license: undefined }, { license: 'My own terms' }]) {
      const { files } = await manifestFor(id, change);
      const sbom = files.find(({ path }) => path === 'sbom.cdx.json');
      check(sbom && 'bytes' in sbom ? String(sbom.bytes) : '');
    }
  });

  it('names model, origin, figures, data files and every package with its digest', async () => {
    const { manifest } = await manifestFor('server', { evidence });
    const lock = JSON.stringify({
      packages: {
        '': { version: '1.0.0' },
        'node_modules/@a/b': {
          version: '2.0.0',
          integrity: `sha512-${Buffer.alloc(64, 1).toString('base64')}`,
          license: 'MIT',
        },
        'node_modules/@a/b/node_modules/c': { version: '3.0.0' },
        'node_modules/d': { version: '1.0.0', dev: true },
      },
    });
    const model = {
      ...manifest.model,
      files: [...manifest.model.files, { name: 'model.onnx.data', path: 'model/model.onnx.data' }],
    };
    const text = printSbom({ ...manifest, model }, new Map([['model/model.onnx.data', 'd'.repeat(64)]]), lock);
    check(text);
    const bom = JSON.parse(text);
    expect(bom.components.map(({ name }: { name: string }) => name)).toEqual(['model.onnx.data', '@a/b', 'c']);
    expect(bom.components[1]).toMatchObject({
      purl: 'pkg:npm/%40a/b@2.0.0',
      licenses: [{ license: { id: 'MIT' } }],
      hashes: [{ alg: 'SHA-512', content: '01'.repeat(64) }],
    });
    const { component } = bom.metadata;
    expect(component.hashes).toEqual([{ alg: 'SHA-256', content: manifest.model.sha256 }]);
    expect(component.pedigree.ancestors[0].hashes[0].content).toBe('b'.repeat(64));
    expect(component.pedigree.notes).toBe('Made from it by: simplify; quantize-static (weights="auto", bits=8).');
    expect(component.modelCard.quantitativeAnalysis.performanceMetrics[0]).toEqual({
      type: 'top1',
      value: '0.9712',
      slice: '500 samples of digits',
    });
    expect(bom.dependencies[0].dependsOn).toEqual([
      'file:model/model.onnx.data',
      'pkg:npm/%40a/b@2.0.0',
      'pkg:npm/c@3.0.0',
    ]);
    expect(bom.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('gives the digests of whole files where these are cut into pieces, as mlpack sbom does, and so does the provenance', async () => {
    const source = join(dir, 'large.bin');
    await writeFile(source, '');
    await truncate(source, 27_000_000);
    const sha256 = createHash('sha256').update(new Uint8Array(27_000_000)).digest('hex');
    const large = { name: 'large.bin', source, bytes: 27_000_000, sha256 };
    const plan = await planBundle(browser, { ...artifact, files: [...artifact.files, large] }, {});
    await writeBundle(plan, join(dir, 'cut'));
    const sbom = await readFile(join(dir, 'cut/sbom.cdx.json'), 'utf8');
    check(sbom);
    expect(JSON.parse(sbom).components[0].hashes).toEqual([{ alg: 'SHA-256', content: sha256 }]);
    expect((await runCli(['sbom', 'cut'], { cwd: dir })).stdout).toBe(sbom);
    const { subject } = JSON.parse(await readFile(join(dir, 'cut/provenance.json'), 'utf8'));
    expect(subject[1]).toEqual({ name: 'mlpack-model/large.bin', digest: { sha256 } });
  });

  it('names runtimes that do not come from npm by where they come from', async () => {
    const { manifest } = await manifestFor('server', { evidence });
    const purls = (name: string): string[] => {
      const text = printSbom({ ...manifest, runtime: { package: name, version: '1.30.0' } }, new Map(), undefined);
      check(text);
      return JSON.parse(text).components.map(({ purl }: { purl: string }) => purl);
    };
    expect(purls('onnxruntime-android, onnxruntime-swift-package-manager')).toEqual([
      'pkg:maven/com.microsoft.onnxruntime/onnxruntime-android@1.30.0',
      'pkg:swift/github.com/microsoft/onnxruntime-swift-package-manager@1.30.0',
    ]);
    expect(purls('onnxruntime')).toEqual(['pkg:generic/onnxruntime@1.30.0']);
    expect(purls('none')).toEqual([]);
  });
});

describe('model card', () => {
  it('says what data outputs were held against, where there are no labels too', async () => {
    const { input } = sampleReport;
    const variant = sampleReport.variants.find(({ name }) => name === 'int8');
    if (!variant) throw new Error('no int8');
    const unlabelled = { ...variant, accuracy: null };
    const data = { path: 'eval', name: 'rooms', samples: 40, calibrationSamples: 0, metric: null, synthetic: false };
    const cardOf = async (about: typeof data): Promise<string> => {
      const found = evidenceOf({ input, seed: 0, data: about }, unlabelled);
      return printCard((await manifestFor('server', { evidence: found })).manifest);
    };
    expect(await cardOf(data)).toContain(`On ${variant.fidelity?.samples} samples of rooms.`);
    expect(await cardOf({ ...data, synthetic: true })).toContain('On made-up inputs');
  });

  it('carries front matter for the hub and the measured figures', async () => {
    const { manifest } = await manifestFor('server', { evidence });
    const card = printCard(manifest);
    const [, front = ''] = card.split('---\n');
    expect(parse(front)).toEqual({
      license: 'apache-2.0',
      library_name: 'onnx',
      base_model: 'someone/resnet',
      base_model_relation: 'quantized',
      tags: ['onnx', 'mlpack', 'base', 'server'],
      'model-index': [
        {
          name: 'tiny',
          results: [
            {
              task: { type: 'other' },
              dataset: { name: 'digits', type: 'digits' },
              metrics: [{ type: 'accuracy', name: 'top1', value: 0.9712 }],
            },
          ],
        },
      ],
    });
    expect(card).toContain('| top1 | 0.9712 | 0.9724 | drop within [-0.001, 0.004] at 95 % |');
    expect(card).toContain('| size | 1.00 MB | 4.00 MB |');
    expect(card).toContain('| median latency, cpu | 1.23 ms |  | 0.410 × base [0.400, 0.420] |');
    expect(card).toContain('2. `quantize-static`: weights "auto", bits 8');
  });

  it('claims nothing where nothing was measured', async () => {
    const card = printCard((await manifestFor('server')).manifest);
    expect(card).toContain('Nothing was measured on this file');
    expect(card).not.toContain('base_model');
    expect(card).not.toContain('model-index');
  });
});

it('provenance names tool, recipe and digests', async () => {
  const { manifest } = await manifestFor('server', { evidence });
  const statement = JSON.parse(printProvenance(manifest, new Map()));
  expect(statement).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'model/model.onnx', digest: { sha256: artifact.files[0]?.sha256 } }],
    predicateType: 'https://slsa.dev/provenance/v1',
  });
  const { buildDefinition } = statement.predicate;
  expect(buildDefinition.externalParameters.recipe).toEqual(evidence.recipe);
  expect(buildDefinition.resolvedDependencies).toEqual([
    { name: 'someone/resnet', digest: { sha256: 'b'.repeat(64) } },
    { name: 'digits', digest: { sha256: 'c'.repeat(64) } },
  ]);
});

describe('versions', () => {
  it('are ordered as Semantic Versioning says', () => {
    const order = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '1.0.1',
      '1.10.0',
      '2.0.0',
    ];
    for (const [i, a] of order.entries())
      for (const [j, b] of order.entries())
        expect(Math.sign(compareVersions(a, b)), `${a} ${b}`).toBe(Math.sign(i - j));
    expect(compareVersions('1.0.0+a', '1.0.0+b')).toBe(0);
  });

  it('go up from the previous bundle only', () => {
    const previous = { version: '1.4.2', manifest: 'a'.repeat(64) };
    expect(nextRelease(undefined, null)).toEqual({ version: '1.0.0', previous: null });
    expect(nextRelease(undefined, previous)).toEqual({ version: '1.4.3', previous });
    expect(nextRelease(undefined, { ...previous, version: '2.0.0-rc.1' }).version).toBe('2.0.0');
    expect(nextRelease('2.0.0', previous).version).toBe('2.0.0');
    for (const version of ['1.4.2', '1.4.1', '1.4.2-rc.1'])
      expect(() => nextRelease(version, previous)).toThrow('does not come after 1.4.2');
    for (const version of ['1', 'v1.0.0', '1.0', '01.0.0', '1.0.0-01', ''])
      expect(() => nextRelease(version, null)).toThrow('is no semantic version');
  });
});

it('sums are read as they are written, and anything else is refused', () => {
  const rows = [
    { path: 'b', sha256: 'b'.repeat(64) },
    { path: 'a c', sha256: 'a'.repeat(64) },
  ];
  expect(printSums(rows)).toBe(`${'a'.repeat(64)}  a c\n${'b'.repeat(64)}  b\n`);
  expect([...parseSums(printSums(rows))]).toEqual([
    ['a c', 'a'.repeat(64)],
    ['b', 'b'.repeat(64)],
  ]);
  for (const text of ['x', `${'a'.repeat(63)}  p`, `${printSums(rows)}${printSums(rows)}`])
    expect(() => parseSums(text)).toThrow('SHA256SUMS');
});
