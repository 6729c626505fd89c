/** The bundle around this server: its manifest, and the model it is allowed to load. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export async function readManifest(dir) {
  return JSON.parse(await readFile(join(dir, 'mlpack.json'), 'utf8'));
}

/** Hashes the model and its data files; throws where one is not what the manifest says. Returns the path of the model. */
export async function verifiedModel(dir, manifest) {
  for (const { path } of manifest.model.files) {
    const row = manifest.files.find((file) => file.path === path);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(join(dir, path))) hash.update(chunk);
    if (row === undefined || hash.digest('hex') !== row.sha256) {
      throw new Error(`${path} is not the file that mlpack.json describes; deploy the bundle again`);
    }
  }
  return join(dir, manifest.model.files[0].path);
}

/** The inputs of the first golden case, as { name, dtype, shape, bytes }, or undefined. */
export async function goldenInputs(dir, manifest) {
  const first = manifest.golden[0];
  if (first === undefined) return undefined;
  return Promise.all(
    first.inputs.map(async ({ name, dtype, shape, file }) => ({
      name,
      dtype,
      shape,
      bytes: await readFile(join(dir, file)),
    })),
  );
}
