import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheKey } from '../../cache/key.ts';
import type { Dataset } from '../../data/dataset.ts';
import { bug } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import { hashFile } from '../../onnx/hash.ts';
import type { Host } from '../../report/report.ts';
import { packageVersion } from '../../target/package-root.ts';
import { artifactFiles } from '../artifact.ts';
import type { Settings } from './settings.ts';

/** Everything that the bytes of a variant can depend on beside its steps. */
export interface Identity {
  /** Version, and the hash of the program's own files: a development build is another tool with the same version. */
  readonly tool: { readonly version: string; readonly code: string };
  /** ONNX Runtime computes constants and statistics for passes, on these instructions. */
  readonly runtime: { readonly ort: string; readonly platform: string; readonly flags: readonly string[] };
  readonly model: { readonly sha256: string; readonly externalData: Readonly<Record<string, string>> };
  readonly data: {
    readonly sha256: string;
    readonly files: number;
    /** Hashes of tokenizers and image processors, which may stand beside the model. */
    readonly preparation?: readonly string[];
  } | null;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Reads and hashes what an identity is made of. */
export async function identify(
  source: { readonly file: string; readonly model: Model },
  dataset: Dataset | undefined,
  settings: Settings,
  host: Host,
): Promise<Identity> {
  const [main = bug('a model without a file'), ...external] = await artifactFiles(source.file, source.model);
  const { seed, samples, maxDrop, minSqnrDb, inputShape, providers } = settings;
  return {
    tool: { version: packageVersion(), code: await hashCode() },
    runtime: { ort: host.ort, platform: host.platform, flags: host.flags },
    model: {
      sha256: main.sha256,
      externalData: Object.fromEntries(external.map(({ name, sha256 }) => [name, sha256])),
    },
    data: dataset ? { ...(await hashFolder(dataset.dir)), preparation: dataset.preparation ?? [] } : null,
    options: {
      seed,
      samples: samples ?? null,
      maxDrop,
      minSqnrDb,
      inputShape,
      providers: providers ?? null,
      targets: [...settings.targets.keys()],
    },
  };
}

/** Every file below a folder, by name and content. */
async function hashFolder(dir: string): Promise<{ sha256: string; files: number }> {
  const names = await filesBelow(dir);
  const hashes: Record<string, string> = {};
  for (const name of names) hashes[name.split(sep).join('/')] = await hashFile(join(dir, name));
  return { sha256: cacheKey(hashes), files: names.length };
}

/** Hash of the program: the built one stands in one folder, with the list of its passes; modules and sources in theirs. */
async function hashCode(): Promise<string> {
  const here = fileURLToPath(import.meta.url);
  const beside = dirname(here);
  const built = existsSync(join(beside, 'list.json'));
  const root = built ? beside : join(beside, '..', '..', '..');
  const hash = createHash('sha256');
  for (const room of built ? ['.'] : ['passes', 'src']) {
    const dir = join(root, room);
    if (!existsSync(dir)) continue;
    for (const name of await filesBelow(dir)) {
      if (extname(name) === extname(here)) hash.update(`${room}/${name}\0`).update(await readFile(join(dir, name)));
    }
  }
  return hash.digest('hex');
}

async function filesBelow(dir: string): Promise<string[]> {
  const found = await readdir(dir, { recursive: true });
  const files: string[] = [];
  for (const name of found) {
    // A link to nothing (an editor's lock) is no file.
    const kind = await stat(join(dir, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (kind?.isFile()) files.push(relative(dir, join(dir, name)));
  }
  return files.sort();
}
