import { UserError } from '../errors.ts';

/** Names that Windows keeps for devices, with or without an extension. */
const reserved = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i;

function isControl(character: string): boolean {
  const code = character.charCodeAt(0);
  return code < 0x20 || code === 0x7f;
}

/**
 * Why a bundle path is not acceptable, or undefined. A path is relative, uses `/`, and means the same file on every
 * system: no `.` or `..`, no empty part, no character or name that Windows refuses.
 */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (path.length > 240) return 'is longer than 240 characters';
  if (path.startsWith('/') || /^[A-Za-z]:/.test(path)) return 'is absolute';
  if (path.includes('\\')) return 'uses a backslash';
  for (const part of path.split('/')) {
    if (part === '') return 'has an empty part';
    if (part === '.' || part === '..') return `has a "${part}" part`;
    if (/[<>:"|?*]/.test(part) || Array.from(part).some(isControl))
      return 'has a character that some file systems refuse';
    if (part.endsWith('.') || part.endsWith(' ')) return 'has a part that ends in a dot or a space';
    if (reserved.test(part)) return `uses the reserved name "${part}"`;
  }
  return undefined;
}

/**
 * Refuses paths that leave the bundle, occur twice (letter case ignored, since some file systems ignore it), or use one
 * name as both file and folder. Throws UserError `bundle-path`.
 */
export function checkPaths(paths: readonly string[]): void {
  const files = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths) {
    const problem = pathProblem(path);
    if (problem !== undefined) throw new UserError('bundle-path', `Bundle path "${path}" ${problem}.`);
    const key = path.toLowerCase();
    if (files.has(key)) throw new UserError('bundle-path', `Bundle path "${path}" occurs twice.`);
    files.add(key);
    for (let at = key.indexOf('/'); at >= 0; at = key.indexOf('/', at + 1)) folders.add(key.slice(0, at));
  }
  for (const key of files) {
    if (folders.has(key)) throw new UserError('bundle-path', `Bundle path "${key}" is both a file and a folder.`);
  }
}
