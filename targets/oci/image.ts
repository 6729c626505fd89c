import { firstRelease } from '../../src/target/release.ts';
import type { Artifact } from '../../src/target/target.ts';
import { type Descriptor, indexType, type Layer, type Layout, manifestType } from './layout.ts';

/** Nothing in it runs, so it is the same on all; nodes refuse images of other platforms all the same. */
const platforms = ['amd64', 'arm64'];

/** A container image that holds `/models` and nothing else: what KServe mounts for oci+native:// and oci+fetch://, and Kubernetes as an image volume. */
export function modelImage(artifact: Artifact, layers: readonly Layer[], layout: Layout): Descriptor {
  const labels = {
    'org.opencontainers.image.title': artifact.name,
    'org.opencontainers.image.version': (artifact.release ?? firstRelease).version,
    ...(artifact.license !== undefined && { 'org.opencontainers.image.licenses': artifact.license }),
  };
  const manifests = platforms.map((architecture) => {
    const config = layout.json('application/vnd.oci.image.config.v1+json', {
      architecture,
      os: 'linux',
      config: { Labels: labels },
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      history: layers.map(({ entries }) => ({ created_by: `mlpack: ${entries[0]?.path ?? ''}` })),
    });
    const manifest = layout.json(manifestType, {
      schemaVersion: 2,
      mediaType: manifestType,
      config,
      layers: layers.map((layer) => layout.layer(layer, 'application/vnd.oci.image.layer.v1.tar')),
      annotations: labels,
    });
    return { ...manifest, platform: { architecture, os: 'linux' } };
  });
  return layout.json(indexType, { schemaVersion: 2, mediaType: indexType, manifests });
}
