import { createHash } from 'node:crypto';
import { type ArchiveEntry, measure, tar } from '../../src/target/archive.ts';
import type { BundleFile } from '../../src/target/target.ts';

/** What points to a blob (OCI image-spec, descriptor). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly artifactType?: string;
  readonly platform?: { readonly architecture: string; readonly os: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

export const manifestType = 'application/vnd.oci.image.manifest.v1+json';
export const indexType = 'application/vnd.oci.image.index.v1+json';

/** One layer: its files as a tar archive, uncompressed, so that its digest is its diff id, too. */
export interface Layer {
  readonly entries: readonly ArchiveEntry[];
  readonly digest: string;
  readonly size: number;
}

export async function layerOf(entries: readonly ArchiveEntry[]): Promise<Layer> {
  const { sha256, bytes } = await measure(tar(entries));
  return { entries, digest: `sha256:${sha256}`, size: bytes };
}

/** An OCI image layout under `root`: blobs by their digest, `index.json` with names. Blobs that are put in twice are there once. */
export class Layout {
  readonly #root: string;
  readonly #files = new Map<string, BundleFile>();

  constructor(root: string) {
    this.#root = root;
  }

  #blob(digest: string): string {
    return `${this.#root}/blobs/${digest.replace(':', '/')}`;
  }

  layer(
    { entries, digest, size }: Layer,
    mediaType: string,
    annotations?: Readonly<Record<string, string>>,
  ): Descriptor {
    const path = this.#blob(digest);
    this.#files.set(path, { path, archive: entries });
    return { mediaType, digest, size, ...(annotations && { annotations }) };
  }

  json(mediaType: string, value: object): Descriptor {
    const text = JSON.stringify(value);
    const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`;
    const path = this.#blob(digest);
    this.#files.set(path, { path, bytes: text });
    return { mediaType, digest, size: Buffer.byteLength(text) };
  }

  /** All files, `named` being what tools find by its name: `oci:<root>:<name>`. */
  *files(named: Readonly<Record<string, Descriptor>>): Iterable<BundleFile> {
    const manifests = Object.entries(named).map(([name, one]) => ({
      ...one,
      annotations: { ...one.annotations, 'org.opencontainers.image.ref.name': name },
    }));
    yield* this.#files.values();
    yield { path: `${this.#root}/oci-layout`, bytes: '{"imageLayoutVersion":"1.0.0"}' };
    yield {
      path: `${this.#root}/index.json`,
      bytes: JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests }),
    };
  }
}
