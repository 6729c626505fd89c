// Last step of the build: writes what `mlpack --help` needs to know of the passes (see src/cli/pass-list.ts).
import { chmodSync, writeFileSync } from 'node:fs';
import { passes } from '../dist/passes/index.js';
import { presets } from '../dist/passes/presets.js';

const list = {
  passes: passes.map(({ id, summary, options, rules }) => ({ id, summary, options, rules })),
  presets: Object.keys(presets),
};
writeFileSync(new URL('../dist/passes/list.json', import.meta.url), `${JSON.stringify(list, null, 1)}\n`);
// The compiler writes plain files; the command is run as it is.
chmodSync(new URL('../dist/bin/mlpack.js', import.meta.url), 0o755);
