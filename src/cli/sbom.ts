import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { hashFile } from '../onnx/hash.ts';
import { readManifest } from '../target/inspect.ts';
import { wholePath } from '../target/manifest.ts';
import { lockName, printSbom } from '../target/sbom.ts';
import type { Session } from './command.ts';
import { requireWritable } from './output.ts';
import { writeAtomically } from './write.ts';

/** The work of `mlpack sbom`: from the manifest and the lock file of the bundle, anew. */
export async function sbomCommand(
  place: string,
  flags: { readonly out?: string; readonly force?: boolean },
  { talk, io, json }: Session,
): Promise<void> {
  const out = flags.out === undefined ? undefined : resolve(io.cwd, flags.out);
  if (out !== undefined) await requireWritable(out, flags.out ?? out, { makesFolders: false });
  const dir = resolve(io.cwd, place);
  const { files, ...manifest } = await readManifest(dir);
  const lock = join(dir, lockName);
  const digests = new Map(files.map(({ path, sha256 }) => [path, sha256]));
  for (const file of manifest.model.files)
    if (file.pieces) digests.set(wholePath(file), await hashFile(...file.pieces.map((piece) => join(dir, piece))));
  const text = printSbom(manifest, digests, existsSync(lock) ? await readFile(lock, 'utf8') : undefined);
  if (out === undefined) talk.out(text.trimEnd());
  else {
    await writeAtomically(out, text, flags.force === true);
    if (json) talk.json({ ok: true, file: out });
    else talk.note(`${flags.out} written`);
  }
}
