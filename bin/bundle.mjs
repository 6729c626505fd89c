// Last step of the build: the program that `mlpack` runs, in few files. Node takes about half a millisecond of processor time for each
// file that it loads, and a job of a quarter of a second would load 350 of them. The compiler's modules in dist/ stay as they are: they
// are what `import 'mlpack'` gives.
//
// Writes dist/bin: the command, what child processes run, one small file for each pass, the rooms in a few larger ones, and
// list.json, from which `mlpack --help` knows the passes (src/cli/pass-list.ts). They are CommonJS: V8's code for it can be kept in every
// version of Node (bin/program.ts), that of modules only from 22.8 on.
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { parseAst } from 'rolldown/parseAst';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, 'dist', 'bin');

// import { fuse } from './fuse/fuse.js';
const registry = readFileSync(join(root, 'dist', 'passes', 'index.js'), 'utf8');
const { passes } = await import('../dist/passes/index.js');
const { presets } = await import('../dist/passes/presets.js');
const sources = new Map();
for (const [, exported, module] of registry.matchAll(/^import \{ (\w+) \} from '\.\/(.+)\.js';$/gm)) {
  const { id } = passes.find((pass) => pass.id === exported.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
  sources.set(id, { exported, source: join(root, 'passes', `${module}.ts`) });
}

// Small libraries that every command needs come along, and those of the page's charts, which are modules alone (Node takes such from
// CommonJS only from 20.19 on); their licences are copied beside.
const inside = { commander: 'LICENSE', chalk: 'license', protobufjs: 'LICENSE', long: 'LICENSE', internmap: 'LICENSE' };
for (const name of readdirSync(join(root, 'node_modules'))) if (name.startsWith('d3-')) inside[name] = 'LICENSE';
const outside = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).dependencies).filter(
  (name) => inside[name] === undefined,
);

// A room's modules come in one file: what loads one of them soon needs most others, and parsing what is not called costs little.
const room = (name, test) => ({ name, test });
const programs = {
  mlpack: 'bin/mlpack.ts',
  'isolated-entry': 'src/engine/isolated-entry.ts',
  'throughput-entry': 'src/engine/throughput-entry.ts',
  'web-profile-entry': 'src/engine/web-profile-entry.ts',
};
const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  input: {
    ...Object.fromEntries(Object.entries(programs).map(([name, source]) => [`run-${name}`, source])),
    ...Object.fromEntries([...sources].map(([id, { source }]) => [`pass-${id}`, source])),
  },
  // Chalk is told its level; its own look at the terminal would load half of Node's network code.
  resolve: { alias: { '#supports-color': join(root, 'node_modules/chalk/source/vendor/supports-color/browser.js') } },
  external: (id) => outside.some((name) => id === name || id.startsWith(`${name}/`)),
  preserveEntrySignatures: 'allow-extension',
  // Dynamic imports say here what may wait; that some of it comes along with something else is known.
  checks: { ineffectiveDynamicImport: false },
});
rmSync(out, { recursive: true, force: true });
const { output } = await bundle.write({
  dir: out,
  format: 'cjs',
  sourcemap: true,
  // Names and lines only (src/cli/own-stack.ts): with the texts the maps were four times the size.
  sourcemapExcludeSources: true,
  // A fifth of the text, which is read at each start.
  comments: { legal: true, annotation: false, jsdoc: false },
  entryFileNames: '[name].js',
  chunkFileNames: '[name].js',
  codeSplitting: {
    includeDependenciesRecursively: false,
    groups: [
      room(
        'core',
        /[\\/]src[\\/](ir|onnx|pass|rewrite|kernels|wasm)[\\/]|[\\/](protobufjs|long)[\\/]|[\\/]passes[\\/]fuse[\\/](bounds|channels|floats)\.ts$/,
      ),
      // What child processes run stands alone: in a room it would begin wherever the room is loaded.
      room('engine', /[\\/]src[\\/](engine|data)[\\/](?!.*-entry\.ts$)/),
      room(
        'transform',
        /[\\/]src[\\/]cli[\\/](transform|pass-context|model-source|model-parts|model-size|deferred-activations|load-step|split-step|output|hub|hub-files|companion-names)\.ts$/,
      ),
      // One for each kind of quantization: most commands need one of them.
      room(
        'quantize',
        /[\\/]passes[\\/]quantize[\\/](?!quantize-|to-|mixed)([^\\/]+\.ts|static[\\/](open-functions|unit|weighted)\.ts|dynamic[\\/](embedding|underflow)\.ts|weight-only[\\/]product\.ts)$/,
      ),
      room('floats', /[\\/]passes[\\/]quantize[\\/](fp16|to-)/),
      room('blocks', /[\\/]passes[\\/]quantize[\\/](weight-only|quantize-weights)/),
      room('dynamic', /[\\/]passes[\\/]quantize[\\/](dynamic|quantize-dynamic)/),
      room('static', /[\\/]passes[\\/]quantize[\\/](static|quantize-static)/),
      room('repair', /[\\/]passes[\\/](repair|quantize[\\/]mixed)/),
      room('rewrites', /[\\/]passes[\\/](simplify|fuse)[\\/]/),
      room('prune', /[\\/]passes[\\/](prune|low-rank|opset)[\\/]/),
      room('targets', /[\\/](targets|src[\\/]target)[\\/](?!package-root|runtime)/),
      room('report', /[\\/]src[\\/]report[\\/]/),
      room('reports', /[\\/]reports[\\/]/),
    ],
  },
});
await bundle.close();
refuseCircles(output.filter(({ type }) => type === 'chunk'));

// What looks for other files than those of the program goes through its loader, since V8's scripts cannot import by themselves.
const hash = createHash('sha256');
for (const name of readdirSync(out)
  .filter((one) => one.endsWith('.js'))
  .sort()) {
  const file = join(out, name);
  const text = inAscii(withLoader(readFileSync(file, 'utf8')));
  hash.update(name).update(text);
  writeFileSync(file, text);
}
const starter = await rolldown({
  cwd: root,
  platform: 'node',
  input: { program: 'bin/program.ts' },
  transform: { define: { buildId: JSON.stringify(hash.digest('hex').slice(0, 16)) } },
});
await starter.write({ dir: out, format: 'cjs', entryFileNames: '[name].js' });
await starter.close();
for (const name of Object.keys(programs))
  writeFileSync(
    join(out, `${name}.js`),
    `#!/usr/bin/env node\nrequire('./program.js').runProgram(__dirname, 'run-${name}');\n`,
  );
writeFileSync(join(out, 'package.json'), '{ "type": "commonjs" }\n');

/**
 * Files that need each other begin with whichever was asked for first, and the other's constants are then undefined: one command ends in a TypeError while all
 * tests of the modules pass. Of these, which only call each other's functions, it is known that they may.
 * @throws naming the files: a module belongs into another room, or what two of them share into one below both
 */
function refuseCircles(chunks) {
  const tolerated = new Set(['golden.js', 'artifact.js', 'bundle.js', 'targets.js']);
  const needs = new Map(chunks.map(({ fileName, imports }) => [fileName, imports]));
  const done = new Set();
  const follow = (file, way) => {
    if (way.includes(file)) {
      const circle = way.slice(way.indexOf(file));
      if (!circle.every((one) => tolerated.has(one)))
        throw new Error(`files of dist/bin need each other: ${[...circle, file].join(' → ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const next of needs.get(file) ?? []) follow(next, [...way, file]);
    done.add(file);
  };
  for (const file of needs.keys()) follow(file, []);
}

/**
 * The text in ASCII, so that V8 keeps and compares half the bytes: what is not stands in strings, where its escape means the same.
 * @throws where it would not
 */
function inAscii(text) {
  if (/\\[^\x00-\x7f]|String\.raw`[^`]*[^\x00-\x7f]/.test(text))
    throw new Error('an escape would change what the program says');
  return text.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The text with `import(…)` as `__import(…)`; strings and comments stay. */
function withLoader(text) {
  const starts = [];
  const visit = (node) => {
    if (Array.isArray(node)) return node.forEach(visit);
    if (node === null || typeof node !== 'object') return;
    if (node.type === 'ImportExpression') starts.push(node.start);
    for (const value of Object.values(node)) visit(value);
  };
  visit(parseAst(text).body);
  let [result, at] = ['', 0];
  for (const start of starts.sort((a, b) => a - b)) {
    result += `${text.slice(at, start)}__`;
    at = start;
  }
  return result + text.slice(at);
}

const list = {
  passes: passes.map(({ id, summary, options, rules }) => {
    return { id, summary, options, rules, module: `./pass-${id}.js`, exported: sources.get(id).exported };
  }),
  presets: Object.keys(presets),
};
writeFileSync(join(out, 'list.json'), `${JSON.stringify(list, null, 1)}\n`);
for (const [name, licence] of Object.entries(inside))
  copyFileSync(join(root, 'node_modules', name, licence), join(out, `LICENSE.${name}.txt`));
// The compiler writes plain files; the command is run as it is.
chmodSync(join(out, 'mlpack.js'), 0o755);
