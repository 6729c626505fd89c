import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.ts';

/** Absolute place of a literal file of a target, which lies under `targets/<target>/files` of the package. */
export function literalPath(target: string, name: string): string {
  return join(packageRoot(), 'targets', target, 'files', name);
}

/** Text of a literal file, for those that are adapted to the model. */
export function literalText(target: string, name: string): string {
  return readFileSync(literalPath(target, name), 'utf8');
}
