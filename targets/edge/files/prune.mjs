/**
 * `node prune.mjs [os arch]`: drops the binaries of onnxruntime-node for other systems than this one (or the one named), and says what is left.
 * `npm ci` runs it by itself. Again does no harm.
 */

import { existsSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const [os = process.platform, arch = process.arch] = process.argv.slice(2);
const root = join(import.meta.dirname, 'node_modules/onnxruntime-node/bin');

function* folders() {
  for (const api of readdirSync(root)) {
    for (const system of readdirSync(join(root, api))) {
      for (const cpu of readdirSync(join(root, api, system))) yield { system, cpu, path: join(root, api, system, cpu) };
    }
  }
}

function bytesBelow(path) {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

// npm runs this before the dependencies are there in some set-ups (a lock file only): nothing to prune then.
if (existsSync(root)) {
  const all = [...folders()];
  if (!all.some(({ system, cpu }) => system === os && cpu === arch)) {
    const known = all.map(({ system, cpu }) => `${system} ${cpu}`).join(', ');
    process.stderr.write(
      `onnxruntime-node has no binary for ${os} ${arch} here, only for ${known}; nothing was removed\n`,
    );
    process.exit(2);
  }
  for (const { system, cpu, path } of all) {
    if (system === os && cpu === arch) continue;
    rmSync(path, { recursive: true });
    if (readdirSync(join(path, '..')).length === 0) rmdirSync(join(path, '..'));
  }
  const left = bytesBelow(join(import.meta.dirname, 'node_modules'));
  process.stdout.write(`pruned to ${os} ${arch}: node_modules has ${(left / 1e6).toFixed(1)} MB\n`);
}
