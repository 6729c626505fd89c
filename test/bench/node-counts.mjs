// Nodes that are left, and the time it takes: simplify, and simplify and fuse (level portable), beside onnxsim, OnnxSlim, and
// ONNX Runtime's levels basic and extended. Every tool reads the same file, works in a process of its own that has done a small
// model before (compiled, loaded), and writes its result, whose outputs are held against those of the file as it came.
// A node is a node of any graph of the file, Constant left out: a constant is no work, whichever form a tool gives it.
//
//   npm run build && node test/bench/node-counts.mjs ../shared/models /tmp/zoo [--onnxsim FOLDER] [--python PYTHON] [--only REGEXP] [--json OUT]
//
// --onnxsim: a folder in which `npm install onnxsim` was done (0.7, WebAssembly). --python: one that has onnxslim.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { syntheticFeeds } from '../../dist/src/engine/feeds.js';
import { openSession } from '../../dist/src/engine/session.js';
import { toNumbers } from '../../dist/src/ir/tensor.js';
import { loadModel } from '../../dist/src/onnx/load.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    onnxsim: { type: 'string' },
    python: { type: 'string' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
if (positionals.length === 0) {
  console.error('which folders or .onnx files? See the head of test/bench/node-counts.mjs.');
  process.exit(2);
}

const tools = ['simplify', 'fuse', ...(values.onnxsim ? ['onnxsim'] : []), ...(values.python ? ['onnxslim'] : []), 'basic', 'extended'];

function* models(path) {
  if (path.endsWith('.onnx')) yield path;
  else if (statSync(path).isDirectory()) for (const name of readdirSync(path).sort()) if (name !== 'node_modules') yield* models(join(path, name));
}

async function count(path) {
  const model = await loadModel(path);
  let nodes = 0;
  for (const graph of model.graphs()) for (const node of graph.nodes) if (!node.is('Constant')) nodes++;
  return nodes;
}

function make(tool, source, out) {
  const child =
    tool === 'onnxslim'
      ? [values.python, [new URL('./simplify/slim.py', import.meta.url).pathname, source, out]]
      : [process.execPath, [new URL('./simplify/tool.mjs', import.meta.url).pathname, tool, source, out, values.onnxsim ?? '']];
  const run = spawnSync(...child, { encoding: 'utf8', timeout: 300_000, maxBuffer: 1 << 28 });
  const line = run.stdout?.split('\n').findLast((text) => text.startsWith('ms '));
  if (run.status !== 0 || !line) throw new Error((run.stderr || run.stdout || `ended by ${run.signal}`).trim().split('\n').findLast((text) => !text.startsWith('Node.js')).slice(0, 100));
  return Number(line.slice(3));
}

async function outputs(path, feeds) {
  const session = await openSession(path, { graphOptimizationLevel: 'disabled' });
  try {
    return await session.run(feeds);
  } finally {
    await session.dispose();
  }
}

/** Largest difference of a float output, in units of its largest number; infinite where shapes or names differ. */
function worst(expected, actual) {
  let largest = 0;
  for (const [name, tensor] of expected) {
    const other = actual.get(name);
    if (!other || other.shape.join() !== tensor.shape.join()) return Number.POSITIVE_INFINITY;
    const [a, b] = [toNumbers(tensor), toNumbers(other)];
    if (!a || !b) continue;
    const scale = a.reduce((top, x) => Math.max(top, Math.abs(x)), 1);
    for (const [at, x] of a.entries()) if (x !== b[at] && !(Number.isNaN(x) && Number.isNaN(b[at]))) largest = Math.max(largest, Math.abs(x - b[at]) / scale);
  }
  return largest;
}

const scratch = mkdtempSync(join(tmpdir(), 'mlpack-nodes-'));
const rows = [];
try {
  for (const root of positionals) {
    for (const source of models(root)) {
      const name = relative(root, source).replace(/(\/onnx)?\/model\.onnx$|\.onnx$/, '') || root;
      if (!new RegExp(values.only).test(name)) continue;
      const row = { model: name, base: await count(source), notes: [] };
      let feeds;
      let expected;
      try {
        const plain = await openSession(source, { graphOptimizationLevel: 'disabled' });
        [{ feeds }] = await syntheticFeeds(await loadModel(source), plain, { seed: 5, count: 1 });
        expected = await plain.run(feeds);
        await plain.dispose();
      } catch (error) {
        row.notes.push(`does not run: ${error.message.slice(0, 80)}`);
      }
      for (const tool of tools) {
        const out = join(scratch, `${tool}.onnx`);
        try {
          row[tool] = { ms: make(tool, source, out), nodes: await count(out) };
          if (expected) row[tool].error = worst(expected, await outputs(out, feeds));
        } catch (error) {
          row.notes.push(`${tool}: ${error.message}`);
        }
        rmSync(out, { force: true });
      }
      rows.push(row);
      print(row);
    }
  }
  summary();
  if (values.json) writeFileSync(values.json, JSON.stringify(rows, null, 1));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function print(row) {
  if (rows.length === 1) console.log(`${'model'.padEnd(34)}${'base'.padStart(6)}${tools.map((tool) => tool.padStart(16)).join('')}   nodes (ms)`);
  const cells = tools.map((tool) => {
    const cell = row[tool];
    return (cell ? `${cell.nodes} (${cell.ms.toFixed(0)})${cell.error > 1e-4 ? '!' : ''}` : 'none').padStart(16);
  });
  const best = Math.min(...tools.slice(2, -2).map((tool) => row[tool]?.nodes ?? Number.POSITIVE_INFINITY));
  const more = row.fuse && best < row.fuse.nodes ? `  ${row.fuse.nodes - best} more than another` : '';
  console.log(`${row.model.padEnd(34)}${String(row.base).padStart(6)}${cells.join('')}${more}  ${row.notes.join('; ')}`);
}

function summary() {
  for (const tool of tools.slice(2)) {
    const both = rows.filter((row) => row[tool] && row.fuse);
    const more = both.filter((row) => row[tool].nodes < row.fuse.nodes);
    const ms = (name) => both.reduce((sum, row) => sum + row[name].ms, 0);
    console.log(
      `${tool}: ${both.length} models, ${both.reduce((sum, row) => sum + row[tool].nodes, 0)} nodes in ${(ms(tool) / 1000).toFixed(1)} s; ours ${both.reduce((sum, row) => sum + row.fuse.nodes, 0)} in ${(ms('fuse') / 1000).toFixed(1)} s` +
        (more.length > 0 ? `; fewer than ours in ${more.length}: ${more.map((row) => `${row.model} (${row[tool].nodes} to ${row.fuse.nodes})`).join(', ')}` : '; never fewer than ours'),
    );
  }
}
