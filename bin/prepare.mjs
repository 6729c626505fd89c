// npm's `prepare`: builds when there is no build, or one older than the sources. `npx mlpack` in a checkout runs it too (npx
// links the package it stands in into its own cache first), and must not wait for the compiler each time.
import { execSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const sources = ['bin', 'src', 'passes', 'targets', 'reports', 'tsconfig.json', 'tsconfig.build.json', 'package.json'];

/** When the file, or the newest file below the folder, was changed; 0 where there is none. */
function changed(path) {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats) return 0;
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => changed(join(path, name))));
}

// The list is the last thing a build writes.
const built = changed(join(root, 'dist', 'bin', 'list.json'));
if (built === 0 || sources.some((source) => changed(join(root, source)) > built)) {
  execSync('npm run build', { cwd: root, stdio: 'inherit' });
}
