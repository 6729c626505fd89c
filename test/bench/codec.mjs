// What reading and writing large models takes, as ratios to reading or writing the plain file.
//   npm run build && node test/bench/codec.mjs [megabytes=800] [--beyond-2gib]
// Needs that much space in the temporary folder, twice. Each measurement runs in a process of its own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = process.env.MLPACK_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
const room = (name) => import(`${dist}/src/${name}.js`);
const [first, ...rest] = process.argv.slice(2);

/** A stack of MatMuls whose weights are computed while they are written. */
async function largeModel(megabytes) {
  const { Graph, Model } = await room('ir/graph');
  const { computedTensor } = await room('ir/tensor');
  const { tensorType } = await room('ir/types');
  const side = 1448; // 8 MiB a matrix
  const graph = new Graph('large');
  let value = graph.addInput('x', tensorType('float32', ['n', side]));
  const data = new Float32Array(side * side).map((_, i) => (i % 97) / 97);
  for (let layer = 0; layer < megabytes / 8; layer++) {
    const bytes = new Uint8Array(data.buffer);
    const weight = graph.addInitializer(`w${layer}`, computedTensor('float32', [side, side], () => bytes));
    value = graph.append('MatMul', { inputs: [value, weight], name: `layer${layer}` }).output();
  }
  value.type = tensorType('float32', ['n', side]);
  graph.addOutput(value);
  return new Model(graph, 17, 8);
}

/** Many small nodes: cost must grow with their number and no faster. */
async function manyNodes(count) {
  const { Graph, Model } = await room('ir/graph');
  const { tensorOf } = await room('ir/tensor');
  const { tensorType } = await room('ir/types');
  const graph = new Graph('nodes');
  const type = tensorType('float32', ['n', 8]);
  let value = graph.addInput('x', type);
  for (let i = 0; i < count; i++) {
    const scale = graph.addInitializer(`s${i}`, tensorOf('float32', [1], [i]));
    value = graph.append('Mul', { inputs: [value, scale], name: `node${i}`, outputs: [`v${i}`], types: [type] }).output();
    value = graph.append('LeakyRelu', { inputs: [value], name: `act${i}`, outputs: [`a${i}`], types: [type], attrs: { axis: 1 } }).output();
  }
  graph.addOutput(value);
  return new Model(graph, 17, 8);
}

const peak = () => process.resourceUsage().maxRSS * 1024;
const timed = async (work) => {
  const start = performance.now();
  const cpu = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - start, cpuMs: (user + system) / 1000, result };
};

const tasks = {
  async read(path) {
    return { ms: (await timed(() => readFileSync(path))).ms, peak: peak() };
  },
  async idle() {
    await room('onnx/load');
    return { peak: peak() };
  },
  async load(path) {
    const { loadModel } = await room('onnx/load');
    const { ms, result } = await timed(() => loadModel(path));
    let parameters = 0;
    for (const { initializer } of result.graph.initializers) parameters += initializer.shape.reduce((a, b) => a * b, 1);
    return { ms, peak: peak(), parameters };
  },
  async copy(path) {
    const { loadModel } = await room('onnx/load');
    const { saveModel } = await room('onnx/save');
    const model = await loadModel(path);
    model.producerName = 'edited';
    const { ms } = await timed(() => saveModel(model, `${path}.copy`));
    return { ms, peak: peak() };
  },
  async split(path) {
    const { loadModel } = await room('onnx/load');
    const { saveModel } = await room('onnx/save');
    const model = await loadModel(path);
    const { ms, result } = await timed(() => saveModel(model, `${path}.split`, { externalData: 'always' }));
    return { ms, peak: peak(), files: result.files.length };
  },
  async rewrite(path) {
    const { loadModel } = await room('onnx/load');
    const { saveModel } = await room('onnx/save');
    const model = await loadModel(path);
    model.producerName = 'edited';
    const { ms, result } = await timed(() => saveModel(model, `${path}.again`, { externalData: 'always' }));
    return { ms, peak: peak(), bytes: result.bytes };
  },
  async generate(path, megabytes) {
    const { saveModel } = await room('onnx/save');
    const model = await largeModel(Number(megabytes));
    const { ms, result } = await timed(() => saveModel(model, path));
    return { ms, peak: peak(), files: result.files.length, bytes: result.bytes };
  },
  async nodes(_path, count) {
    const { encodeModel } = await room('onnx/encode');
    const { decodeModel } = await room('onnx/decode');
    const { cloneModel } = await room('ir/clone');
    const model = await manyNodes(Number(count));
    const fresh = await timed(() => encodeModel(model));
    const read = await timed(() => decodeModel(fresh.result));
    const untouched = await timed(() => encodeModel(cloneModel(read.result)));
    return { bytes: fresh.result.byteLength, encodeMs: fresh.cpuMs, decodeMs: read.cpuMs, untouchedMs: untouched.cpuMs, peak: peak() };
  },
};

function measure(task, ...args) {
  const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), `--task=${task}`, ...args], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${task}: ${run.stderr}`);
  return JSON.parse(run.stdout);
}

if (first?.startsWith('--task=')) {
  console.log(JSON.stringify(await tasks[first.slice('--task='.length)](...rest)));
} else {
  const megabytes = Number(first ?? 800);
  const dir = mkdtempSync(join(tmpdir(), 'mlpack-bench-'));
  const times = (part, whole) => `${(part / whole).toFixed(2)} ×`;
  const ms = (value) => `${value.toFixed(0)} ms`;
  try {
    const path = join(dir, 'large.onnx');
    const made = measure('generate', path, String(megabytes));
    const size = statSync(path).size;
    measure('read', path); // so that all measurements find the file in the system's cache
    const read = measure('read', path);
    const idle = measure('idle');
    const load = measure('load', path);
    console.log(`model of ${(size / 1e6).toFixed(0)} MB, ${load.parameters} parameters`);
    console.log(`  write (streamed)   ${ms(made.ms)}, peak memory ${times(made.peak, size)} the file`);
    console.log(`  plain read         ${ms(read.ms)}, peak memory ${times(read.peak, size)}`);
    console.log(`  load               ${ms(load.ms)} (${ms(load.ms - read.ms)} beyond the read), peak memory ${times(load.peak, size)} (idle process ${times(idle.peak, size)})`);
    const copy = measure('copy', path);
    console.log(`  load, edit, save   ${ms(copy.ms)} for the save, peak memory ${times(copy.peak, size)}`);
    rmSync(`${path}.copy`);
    const split = measure('split', path);
    console.log(`  save with data     ${ms(split.ms)} for the save, peak memory ${times(split.peak, size)}`);
    const again = measure('rewrite', `${path}.split`);
    console.log(`  data file to data file, edited  ${ms(again.ms)}, peak memory ${times(again.peak, again.bytes)}`);
    for (const file of ['.split', '.split.data', '.split.again', '.split.again.data']) rmSync(`${path}${file}`);
    if (rest.includes('--beyond-2gib')) {
      const beyond = measure('generate', join(dir, 'beyond.onnx'), '2560');
      const back = measure('rewrite', join(dir, 'beyond.onnx'));
      console.log(`model of ${(beyond.bytes / 1e6).toFixed(0)} MB in ${beyond.files} files: written with peak ${times(beyond.peak, beyond.bytes)}, read and written again ${ms(back.ms)} with peak ${times(back.peak, back.bytes)}`);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  console.log('nodes       bytes      processor time: encode   decode   encode untouched copy   per node (decode)');
  for (const count of [500, 5000, 50_000]) {
    const { bytes, encodeMs, decodeMs, untouchedMs } = measure('nodes', '', String(count));
    console.log(`${String(2 * count).padEnd(10)}  ${String(bytes).padEnd(9)}  ${ms(encodeMs)}   ${ms(decodeMs)}   ${ms(untouchedMs)}   ${((decodeMs * 1000) / (2 * count)).toFixed(1)} µs`);
  }
}
