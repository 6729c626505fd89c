// Peak memory of calibrating on many samples: the command quantize-static with 100 and with 10,000 (or as many as you say), each way of choosing
// ranges several times, since two runs differ by some megabytes.
//
//   npm run build && node test/bench/calibration-memory.mjs [samples …]
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/src/onnx/load.js';
import { measured } from './static/child.mjs';

const rounds = 3;
const mlpack = fileURLToPath(new URL('../../dist/bin/mlpack.js', import.meta.url));
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

for (const samples of process.argv.length > 2 ? process.argv.slice(2).map(Number) : [100, 1000, 10000]) {
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-many-'));
  try {
    await writeSamples(dir, samples);
    // Minmax takes extremes inside the runtime, all others count every value.
    for (const way of ['minmax', 'percentile', 'entropy', 'mse']) {
      const runs = [];
      const args = [mlpack, 'quantize-static', model, '-d', dir, '--calibration-samples', `${samples}`, '--calibrate', way, '-o', join(dir, 'out.onnx'), '--force', '--no-cache'];
      for (let round = 0; round < rounds; round++) {
        const { stderr, code, rssMb, seconds } = await measured(process.execPath, args);
        if (code !== 0) throw new Error(stderr);
        runs.push({ rssMb, seconds });
      }
      console.log(`${samples} samples, ${way}: at most ${runs.map(({ rssMb }) => rssMb.toFixed(0)).join(', ')} MB; ${runs.map(({ seconds }) => seconds.toFixed(1)).join(', ')} s`);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
