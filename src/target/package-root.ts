import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bug } from '../errors.ts';

interface PackageJson {
  readonly name?: string;
  readonly version?: string;
}

interface FoundPackage {
  readonly dir: string;
  readonly version: string;
}

/** Nearest folder at or above `start` whose package.json carries the given name. */
function findPackage(start: string, name: string): FoundPackage | undefined {
  for (let dir = start; ; dir = dirname(dir)) {
    const file = join(dir, 'package.json');
    if (existsSync(file)) {
      const json = JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
      if (json.name === name) return { dir, version: json.version ?? '0.0.0' };
    }
    if (dirname(dir) === dir) return undefined;
  }
}

function ownPackage(): FoundPackage {
  const here = dirname(fileURLToPath(import.meta.url));
  return findPackage(here, 'mlpack') ?? bug(`no package.json of mlpack above ${here}`);
}

/**
 * The folder that holds mlpack's package.json: the checkout, or the installed package. Compiled code runs from `dist/`,
 * literal files stay where they are written, so they are found from here.
 */
export function packageRoot(): string {
  return ownPackage().dir;
}

/** mlpack's own version, as package.json says. */
export function packageVersion(): string {
  return ownPackage().version;
}

/**
 * Folder of an installed dependency in exactly this version. Looks through every `node_modules` from mlpack upward, because
 * another version may sit in a nearer one (transformers.js brings a development build of onnxruntime-web).
 */
export function dependencyRoot(name: string, version: string): string | undefined {
  for (let dir = packageRoot(); ; dir = dirname(dir)) {
    const candidate = join(dir, 'node_modules', name);
    const file = join(candidate, 'package.json');
    if (existsSync(file)) {
      const json = JSON.parse(readFileSync(file, 'utf8')) as PackageJson;
      if (json.version === version) return candidate;
    }
    if (dirname(dir) === dir) return undefined;
  }
}
