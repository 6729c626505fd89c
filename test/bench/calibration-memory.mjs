// Peak memory of calibrating on many samples: quantize-static with 100 and with 10,000 (or as many as you say), in processes of their own.
//
//   npm run build && node test/bench/calibration-memory.mjs [samples …]
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDataset } from '../../dist/src/data/open-dataset.js';
import { createActivations } from '../../dist/src/engine/activations.js';
import { inferShapes } from '../../dist/src/ir/infer/infer.js';
import { loadModel } from '../../dist/src/onnx/load.js';
import { measured } from './static/child.mjs';

const own = fileURLToPath(import.meta.url);
const model = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));

/** Samples of the digits' shape, seeded, as one .npy file; its header is that of NumPy 1. */
async function writeSamples(dir, count) {
  const { graph } = await loadModel(model);
  const [input] = graph.inputs;
  const shape = [count, ...input.shape.slice(1)];
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let state = 1;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state / 2 ** 32;
  }
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(padded.length, 8);
  await writeFile(join(dir, 'x.npy'), Buffer.concat([head, Buffer.from(padded, 'latin1'), new Uint8Array(data.buffer)]));
  const inputs = { [input.name]: { file: 'x.npy', calibration: 'x.npy' } };
  await writeFile(join(dir, 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', name: 'many', inputs }));
}

if (process.argv[2] === '--run') {
  const [dir, samples, way] = process.argv.slice(3);
  const graph = await loadModel(model);
  inferShapes(graph);
  const dataset = await openDataset(dir);
  const values = [...graph.graph.nodes].flatMap((node) => node.outputs.filter((output) => output !== undefined));
  const activations = createActivations(dataset, { seed: 0, samples: Number(samples) });
  const histograms = await activations.histograms(graph, values, { extremesOnly: way === 'extremes' });
  await dataset.close();
  console.log(`${activations.samples} samples, ${histograms.size} values, ${[...histograms.values()].reduce((sum, { count }) => sum + count, 0).toExponential(2)} numbers`);
} else {
  for (const samples of process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100, 1000, 10000]) {
    const dir = await mkdtemp(join(tmpdir(), 'mlpack-many-'));
    try {
      await writeSamples(dir, samples);
      // Extremes are what minmax takes, histograms what every other way to choose ranges does.
      for (const way of ['extremes', 'histograms']) {
        const { stdout, stderr, code, rssMb, seconds } = await measured(process.execPath, [own, '--run', dir, `${samples}`, way]);
        if (code !== 0) throw new Error(stderr);
        console.log(`${way}: ${stdout.trim()}: ${rssMb.toFixed(0)} MB at most, ${seconds.toFixed(1)} s`);
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
}
