import { firstRelease } from '../../src/target/release.ts';
import type { Artifact } from '../../src/target/target.ts';
import { type Descriptor, type Layer, type Layout, manifestType } from './layout.ts';

const types = 'application/vnd.cncf.model';

/** What a file of the repository is to the CNCF model specification. */
function kindOf(path: string): 'weight' | 'weight.config' | 'doc' | 'dataset' {
  if (/\/\d+\/model\.onnx/.test(path)) return 'weight';
  if (path.endsWith('/config.pbtxt')) return 'weight.config';
  return path.includes('/warmup/') ? 'dataset' : 'doc';
}

/** `1.2M`, as the specification writes sizes. */
export function paramSize(count: number): string {
  for (const [unit, size] of [
    ['B', 1e9],
    ['M', 1e6],
    ['K', 1e3],
  ] as const) {
    if (count >= size) return `${Number((count / size).toPrecision(3))}${unit}`;
  }
  return String(count);
}

/** Element types of the weights, the one with most bytes first. */
function precision({ weightBytes = {} }: Artifact): string | undefined {
  const names = Object.entries(weightBytes).sort(([, a], [, b]) => b - a);
  return names.length > 0 ? names.map(([name]) => name).join(',') : undefined;
}

/** The model's own description. No time of creation: the same model gives the same bytes. */
function config(artifact: Artifact, layers: readonly Layer[]): object {
  const { name, variant, license, evidence, release } = artifact;
  const parameters = evidence?.parameters;
  const types = precision(artifact);
  return {
    descriptor: {
      name,
      version: (release ?? firstRelease).version,
      title: `${name} (${variant})`,
      ...(license !== undefined && { licenses: [license] }),
    },
    config: {
      format: 'onnx',
      ...(parameters !== undefined && parameters !== null && { paramSize: paramSize(parameters) }),
      ...(types !== undefined && { precision: types }),
    },
    modelfs: { type: 'layers', diffIds: layers.map(({ digest }) => digest) },
  };
}

/** The manifest of a ModelPack artifact (CNCF model-spec): a layer for each file, with its kind and its place. */
export function modelPack(artifact: Artifact, layers: readonly Layer[], layout: Layout): Descriptor {
  const manifest = layout.json(manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType: `${types}.manifest.v1+json`,
    config: layout.json(`${types}.config.v1+json`, config(artifact, layers)),
    layers: layers.map((layer) => {
      const path = layer.entries[0]?.path ?? '';
      return layout.layer(layer, `${types}.${kindOf(path)}.v1.tar`, { 'org.cncf.model.filepath': path });
    }),
  });
  return { ...manifest, artifactType: `${types}.manifest.v1+json` };
}
