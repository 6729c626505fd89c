import { existsSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../../errors.ts';
import { hashFile } from '../../onnx/hash.ts';
import type { IoInfo } from '../../report/report.ts';
import { writeAtomically } from '../write.ts';
import type { Shard, ShardFormat } from './shard.ts';

export const manifestName = 'teacher.json';
const schema = 'mlpack.teacher/1';

/** teacher.json: what the folder holds, and how far it has come. */
export interface Manifest {
  readonly schema: typeof schema;
  readonly tool: string;
  /** Hash of all that decides what is written: a run with another one does not go on here. */
  readonly identity: string;
  readonly model: { readonly path: string; readonly sha256: string };
  readonly data: { readonly name: string; readonly split: string; readonly samples: number; readonly seed: number };
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly hidden: readonly string[];
  readonly format: ShardFormat;
  readonly shards: readonly Shard[];
  readonly complete: boolean;
}

export const newManifest = (facts: Omit<Manifest, 'schema' | 'shards' | 'complete'>): Manifest => ({
  schema,
  ...facts,
  shards: [],
  complete: false,
});

/** @throws UserError when the folder holds something else */
export async function readManifest(dir: string, shown: string): Promise<Manifest | undefined> {
  const path = join(dir, manifestName);
  if (!existsSync(path)) {
    const others = existsSync(dir) ? await readdir(dir) : [];
    if (others.length === 0) return undefined;
    throw new UserError(
      'out.exists',
      `"${shown}" exists and holds no export of a teacher (it has ${others[0]}); give another --out.`,
    );
  }
  const problem = (why: string): never => {
    throw new UserError(
      'teacher.manifest',
      `"${join(shown, manifestName)}" ${why}; give another --out, or --force to begin anew.`,
    );
  };
  let read: unknown;
  try {
    read = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return problem('is no JSON');
  }
  const manifest = read as Partial<Manifest> | null;
  if (manifest?.schema !== schema) return problem(`is not of the form ${schema}`);
  const shards: unknown = manifest.shards;
  if (typeof manifest.identity !== 'string' || !Array.isArray(shards) || !shards.every(isShard))
    return problem('is damaged');
  return manifest as Manifest;
}

const shardName = /^shard-\d{5}\.(safetensors|parquet)$/;

/** Names of files are taken from a file that anyone may have written: only our own are touched. */
const isShard = (shard: Partial<Shard> | null): boolean =>
  typeof shard?.file === 'string' &&
  shardName.test(shard.file) &&
  typeof shard.sha256 === 'string' &&
  Number.isInteger(shard.batches) &&
  Number.isInteger(shard.samples);

export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  await writeAtomically(join(dir, manifestName), `${JSON.stringify(manifest, undefined, 2)}\n`, true);
}

/** The shards at the beginning that are there and whole; what follows a damaged one is made again. */
export async function intactShards(dir: string, shards: readonly Shard[]): Promise<Shard[]> {
  const intact: Shard[] = [];
  for (const shard of shards) {
    const path = join(dir, shard.file);
    if (!existsSync(path) || (await hashFile(path)) !== shard.sha256) break;
    intact.push(shard);
  }
  return intact;
}

/** Takes away what an earlier export wrote. */
export async function clearExport(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  for (const name of await readdir(dir)) if (shardName.test(name) || name === manifestName) await rm(join(dir, name));
}
