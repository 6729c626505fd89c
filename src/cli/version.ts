import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bug } from '../errors.ts';

/** The folder of mlpack's own package.json: sources and compiled files stand at different depths below it. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const manifest = readManifest(join(folder, 'package.json'));
    if (manifest?.name === 'mlpack') return folder;
    const parent = dirname(folder);
    if (parent === folder) return bug('mlpack cannot find its own package.json');
    folder = parent;
  }
}

export function toolVersion(): string {
  return readManifest(join(packageRoot(), 'package.json'))?.version ?? bug('package.json names no version');
}

function readManifest(path: string): { name?: string; version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { name?: string; version?: string };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
