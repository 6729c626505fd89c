// Last step of the build: writes what `mlpack --help` needs to know of the passes (see src/cli/pass-list.ts).
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { passes } from '../dist/passes/index.js';
import { presets } from '../dist/passes/presets.js';

// import { fuse } from './fuse/fuse.js';
const registry = readFileSync(new URL('../dist/passes/index.js', import.meta.url), 'utf8');
const files = new Map();
for (const [, exported, module] of registry.matchAll(/^import \{ (\w+) \} from '\.\/(.+)';$/gm)) {
  const { id } = (await import(new URL(`../dist/passes/${module}`, import.meta.url).href))[exported];
  files.set(id, { module, exported });
}

const list = {
  passes: passes.map(({ id, summary, options, rules }) => ({ id, summary, options, rules, ...files.get(id) })),
  presets: Object.keys(presets),
};
writeFileSync(new URL('../dist/passes/list.json', import.meta.url), `${JSON.stringify(list, null, 1)}\n`);
// The compiler writes plain files; the command is run as it is.
chmodSync(new URL('../dist/bin/mlpack.js', import.meta.url), 0o755);
