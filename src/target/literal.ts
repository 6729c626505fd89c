import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { dependencyRoot, packageRoot } from './package-root.ts';

/** Absolute place of a literal file of a target, which lies under `targets/<target>/files` of the package. */
export function literalPath(target: string, name: string): string {
  return join(packageRoot(), 'targets', target, 'files', name);
}

/** Text of a literal file, for those that are adapted to the model. */
export function literalText(target: string, name: string): string {
  return readFileSync(literalPath(target, name), 'utf8');
}

/**
 * What a JSON file beside the model says.
 * @throws UserError `companion-json`
 */
export function companionJson(source: string): unknown {
  try {
    return JSON.parse(readFileSync(source, 'utf8'));
  } catch (error) {
    throw new UserError('companion-json', `${source} is no valid JSON: ${(error as Error).message}.`, { cause: error });
  }
}

/**
 * A file of an npm package in exactly this version, for bundles to carry.
 * @throws UserError `dependency-missing`.
 */
export function dependencyFile(name: string, version: string, path: string): { place: string; bytes: number } {
  const root = dependencyRoot(name, version);
  if (root === undefined) {
    throw new UserError(
      'dependency-missing',
      `The npm package ${name} ${version}, which goes into the bundle, is not installed; run npm install ${name}@${version}.`,
    );
  }
  const place = join(root, path);
  return { place, bytes: statSync(place).size };
}

/** What is in such a file. @throws UserError `dependency-missing`. */
export function dependencyBytes(name: string, version: string, path: string): Uint8Array {
  return new Uint8Array(readFileSync(dependencyFile(name, version, path).place));
}
