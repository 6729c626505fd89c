import { createHash } from 'node:crypto';
import type { IoInfo } from '../report/report.ts';
import type { Evidence } from './evidence.ts';
import { type Manifest, wholePath } from './manifest.ts';
import { type LockedPackage, lockedPackages } from './npm-lock.ts';

export const sbomName = 'sbom.cdx.json';
/** Where a bundle of npm packages pins them. */
export const lockName = 'package-lock.json';

/** SPDX names that models often have; any other licence is given by its name, which the format allows as well. */
const spdx: ReadonlySet<string> = new Set([
  'AGPL-3.0-only',
  'AGPL-3.0-or-later',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BSL-1.0',
  'CC-BY-4.0',
  'CC-BY-NC-4.0',
  'CC-BY-SA-4.0',
  'CC0-1.0',
  'GPL-2.0-only',
  'GPL-3.0-only',
  'GPL-3.0-or-later',
  'ISC',
  'LGPL-3.0-only',
  'MIT',
  'MPL-2.0',
  'Unlicense',
]);

/**
 * The bill of materials in CycloneDX 1.6: the model with its card, what it was made from, the files it needs and the packages that
 * run it. Without a time; the serial number follows from the content.
 * @param digests SHA-256 of the model files, whole, by bundle path
 * @param lock text of the bundle's package-lock.json, where it has one
 */
export function printSbom(
  manifest: Omit<Manifest, 'files'>,
  digests: ReadonlyMap<string, string>,
  lock: string | undefined,
): string {
  const packages = lock === undefined ? runtimePackage(manifest) : lockedPackages(lock);
  const { model, evidence, release, tool } = manifest;
  const [main, ...data] = model.files;
  const ref = 'model';
  const dataRefs = data.map((file) => `file:${wholePath(file)}`);
  const bom = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      tools: { components: [{ type: 'application', name: tool.name, version: tool.version }] },
      component: {
        type: 'machine-learning-model',
        'bom-ref': ref,
        name: model.name,
        version: release.version,
        ...(model.license !== null && { licenses: [licenseOf(model.license)] }),
        hashes: [{ alg: 'SHA-256', content: model.sha256 }],
        ...(evidence && { pedigree: pedigreeOf(evidence) }),
        modelCard: modelCardOf(manifest),
        properties: [
          { name: 'mlpack:target', value: manifest.target },
          { name: 'mlpack:variant', value: manifest.variant },
          { name: 'mlpack:file', value: main?.path ?? '' },
          { name: 'mlpack:irVersion', value: String(manifest.requires.irVersion) },
          ...Object.entries(manifest.requires.opsets).map(([domain, version]) => ({
            name: `mlpack:opset:${domain || 'ai.onnx'}`,
            value: String(version),
          })),
        ],
      },
    },
    components: [
      ...data.map((file, at) => ({
        type: 'data',
        'bom-ref': dataRefs[at],
        name: file.name,
        hashes: [{ alg: 'SHA-256', content: digests.get(wholePath(file)) ?? '' }],
      })),
      ...packages.map(packageComponent),
    ],
    dependencies: [{ ref, dependsOn: [...dataRefs, ...packages.map(purlOf)] }],
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(bom))}`;
  const { $schema, bomFormat, specVersion, ...rest } = bom;
  return `${JSON.stringify({ $schema, bomFormat, specVersion, serialNumber, ...rest }, null, 2)}\n`;
}

/** The runtime that the target names, where no lock file says more. `none`: the bundle runs by itself. */
function runtimePackage({ runtime }: Omit<Manifest, 'files'>): LockedPackage[] {
  if (runtime.package === 'none') return [];
  return runtime.package
    .split(', ')
    .map((name) => ({ name, version: runtime.version, hash: undefined, license: undefined }));
}

/** Runtimes that do not come from npm, as package URLs name them; `generic` where no registry is the source. */
const elsewhere: Readonly<Record<string, string>> = {
  'onnxruntime-android': 'maven/com.microsoft.onnxruntime/onnxruntime-android',
  'onnxruntime-swift-package-manager': 'swift/github.com/microsoft/onnxruntime-swift-package-manager',
  onnxruntime: 'generic/onnxruntime',
  'tensorflow-lite': 'generic/tensorflow-lite',
  coreml: 'generic/coreml',
};

function purlOf({ name, version }: LockedPackage): string {
  return `pkg:${elsewhere[name] ?? `npm/${name.replace(/^@/, '%40')}`}@${version}`;
}

function packageComponent(one: LockedPackage): object {
  return {
    type: 'library',
    'bom-ref': purlOf(one),
    name: one.name,
    version: one.version,
    ...(one.license !== undefined && { licenses: [licenseOf(one.license)] }),
    ...(one.hash && { hashes: [one.hash] }),
    purl: purlOf(one),
  };
}

function licenseOf(name: string): object {
  return { license: spdx.has(name) ? { id: name } : { name } };
}

function pedigreeOf({ base, recipe }: Evidence): object {
  const steps = recipe.map(({ pass, options }) => {
    const said = Object.entries(options).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
    return said.length > 0 ? `${pass} (${said.join(', ')})` : pass;
  });
  return {
    ancestors: [
      {
        type: 'machine-learning-model',
        name: base.name,
        hashes: [{ alg: 'SHA-256', content: base.sha256 }],
      },
    ],
    notes: steps.length > 0 ? `Made from it by: ${steps.join('; ')}.` : 'Taken over unchanged.',
  };
}

function modelCardOf({ inputs, outputs, evidence }: Omit<Manifest, 'files'>): object {
  const metrics = evidence ? performanceMetrics(evidence) : [];
  return {
    modelParameters: {
      inputs: inputs.map((one) => ({ format: formatOf(one) })),
      outputs: outputs.map((one) => ({ format: formatOf(one) })),
      ...(evidence?.data && {
        datasets: [{ type: 'dataset', name: evidence.data.name, description: 'What the model was judged on.' }],
      }),
    },
    ...(metrics.length > 0 && { quantitativeAnalysis: { performanceMetrics: metrics } }),
  };
}

/** `image: float32 [batch, 3, 224, 224]` */
export function formatOf({ name, dtype, shape }: IoInfo): string {
  return `${name}: ${dtype} ${shape === null ? 'of any shape' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`}`;
}

/** Measured figures as CycloneDX has them: type, value as text, and what they were measured on. */
function performanceMetrics(evidence: Evidence): object[] {
  const { accuracy, fidelity, latency, machine, data } = evidence;
  const metrics: object[] = [];
  if (accuracy && accuracy.value !== null)
    metrics.push({
      type: accuracy.metric,
      value: String(accuracy.value),
      ...(data && { slice: `${data.samples} samples of ${data.name}` }),
    });
  if (fidelity?.agreement !== null && fidelity?.agreement !== undefined)
    metrics.push({
      type: 'agreement with the base model',
      value: String(fidelity.agreement),
      slice: `${fidelity.samples} samples`,
    });
  if (fidelity)
    metrics.push({
      type: 'SQNR against the base model in dB',
      value: fidelity.sqnrDb === null ? 'identical' : String(fidelity.sqnrDb),
      slice: `${fidelity.samples} samples`,
    });
  for (const { provider, p50Ms } of latency)
    metrics.push({
      type: 'median latency in ms',
      value: String(p50Ms),
      slice: `${provider}${machine ? `, ${machine}` : ''}`,
    });
  return metrics;
}

/** A UUID of version 8 (RFC 9562: made by the program's own rule) from the content. */
function uuidOf(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
