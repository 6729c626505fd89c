import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dependencyRoot } from '../target/package-root.ts';
import { ortVersion } from '../target/runtime.ts';

export interface InstalledPackage {
  readonly name: string;
  readonly dir: string;
  readonly bytes: number;
}

/** The two packages that make an install large: ONNX Runtime with its binaries for every platform, and for the web. */
export async function largePackages(): Promise<InstalledPackage[]> {
  const found: InstalledPackage[] = [];
  for (const name of ['onnxruntime-node', 'onnxruntime-web']) {
    const dir = dependencyRoot(name, ortVersion);
    if (dir !== undefined) found.push({ name, dir, bytes: await sizeOf(dir) });
  }
  return found;
}

async function sizeOf(dir: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(dir, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath ?? entry.path, entry.name))).size;
  }
  return bytes;
}
