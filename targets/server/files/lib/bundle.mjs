/** A bundle folder: its manifest, the model it is allowed to load, and its golden cases. */

import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BundleError } from './errors.mjs';
import { checkManifest } from './manifest.mjs';

const reasons = {
  ENOENT: 'is not there',
  ENOTDIR: 'is not there',
  EACCES: 'may not be read by the user of this process',
  EISDIR: 'is a folder',
  ENOTFILE: 'is no plain file',
};

/** What the system says about a file of the bundle, in words. */
function unreadable(place, error) {
  if (error instanceof BundleError || typeof error.code !== 'string') return error;
  const why = reasons[error.code] ?? `cannot be read (${error.code})`;
  return new BundleError(`${place} ${why}; a bundle is deployed as a whole, as mlpack bundle made it`, {
    cause: error,
  });
}

/** A pipe in the place of a file would be waited for for ever. @throws what the system says, or with the code ENOTFILE */
async function plain(path) {
  const found = await stat(path);
  if (found.isFile()) return path;
  const code = found.isDirectory() ? 'EISDIR' : 'ENOTFILE';
  throw Object.assign(new Error(`${path} ${reasons[code]}`), { code });
}

/** @throws BundleError where there is none, or it is not one */
export async function readManifest(dir) {
  const place = join(dir, 'mlpack.json');
  const text = await readPlain(place, 'utf8').catch((error) => {
    throw unreadable(place, error);
  });
  return checkManifest(parsed(text, place));
}

export async function readPlain(path, encoding) {
  return readFile(await plain(path), encoding);
}

function parsed(text, place) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BundleError(`${place} is not JSON (${error.message}); deploy the bundle again`, { cause: error });
  }
}

/** Bytes of the model's files, as the manifest has them. */
export function modelBytes({ model, files }) {
  return model.files.reduce((sum, { path }) => sum + (files.find((file) => file.path === path)?.bytes ?? 0), 0);
}

/** A path that a manifest names, inside its folder. */
function inside(dir, path) {
  if (typeof path !== 'string' || path.startsWith('/') || path.split(/[/\\]/).includes('..')) {
    throw new BundleError(`mlpack.json names "${path}", which is not inside the bundle`);
  }
  return join(dir, path);
}

/** One buffer for the whole file: 42 MB take 0.03 s, in buffers of their own (a stream's) 0.08 to 0.24 for the memory alone. */
async function digestOf(path) {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafeSlow(1 << 18);
  const file = await open(await plain(path));
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** Whether all files of the model lie in a folder under their own names, as the manifest describes them. */
async function holds(folder, manifest) {
  try {
    for (const { name, path } of manifest.model.files) {
      const row = manifest.files.find((file) => file.path === path);
      if ((await digestOf(inside(folder, name))) !== row?.sha256) return false;
    }
    return true;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw unreadable(`${folder} (MODEL_DIR)`, error);
  }
}

/**
 * Hashes the model and its data files; throws where one is not what the manifest says. Returns the path of the model. MODEL_DIR is
 * looked at first: where the platform puts what is not in the image (SageMaker: /opt/ml/model).
 */
export async function verifiedModel(dir, manifest, elsewhere = process.env.MODEL_DIR) {
  if (elsewhere && (await holds(elsewhere, manifest))) return inside(elsewhere, manifest.model.files[0].name);
  for (const { path } of manifest.model.files) {
    const row = manifest.files.find((file) => file.path === path);
    const place = inside(dir, path);
    const digest = await digestOf(place).catch((error) => {
      if (error.code !== 'ENOENT' || !elsewhere) throw unreadable(place, error);
      throw new BundleError(
        `the model that mlpack.json describes is neither in ${elsewhere} (MODEL_DIR) nor in the bundle`,
      );
    });
    if (row === undefined || digest !== row.sha256) {
      throw new BundleError(`${path} is not the file that mlpack.json describes; deploy the bundle again`);
    }
  }
  return inside(dir, manifest.model.files[0].path);
}

/** A small file of the bundle, whole and unchanged. @throws BundleError */
async function verifiedFile(dir, { files }, path) {
  const place = inside(dir, path);
  const bytes = await readPlain(place).catch((error) => {
    throw unreadable(place, error);
  });
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digest === files.find((file) => file.path === path)?.sha256) return bytes;
  throw new BundleError(`${path} is not the file that mlpack.json describes; deploy the bundle again`);
}

/** What the evaluation data looked like (reference.json), or undefined where the bundle has none. */
export async function readReference(dir, manifest) {
  if (!manifest.files.some(({ path }) => path === 'reference.json')) return undefined;
  return JSON.parse((await verifiedFile(dir, manifest, 'reference.json')).toString('utf8'));
}

/** The golden cases: [{ inputs, outputs: [{ name, dtype, shape, bytes }], tolerance }]. */
export async function goldenCases(dir, manifest) {
  const read = (tensors) =>
    Promise.all(tensors.map(async (tensor) => ({ ...tensor, bytes: await verifiedFile(dir, manifest, tensor.file) })));
  return Promise.all(
    manifest.golden.map(async ({ inputs, outputs, tolerance }) => ({
      inputs: await read(inputs),
      outputs: await read(outputs),
      tolerance,
    })),
  );
}
