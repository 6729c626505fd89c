// What no tool on Node that calibrates can go below: a process that loads ONNX Runtime and runs the float model on the samples, and does nothing else.
//
//   node floor.mjs MODEL FEEDS     (folders 0, 1, … in FEEDS, each with <input>.npy; float32 and int64)
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

process.env.ORT_DISABLE_TELEMETRY = '1';
const { InferenceSession, Tensor } = createRequire(import.meta.url)('onnxruntime-node');

/** A C-ordered array of format 1. */
function tensorOf(file) {
  const bytes = readFileSync(file);
  const start = 10 + bytes.readUInt16LE(8);
  const head = bytes.toString('latin1', 10, start);
  const shape = /'shape': \(([^)]*)\)/.exec(head)[1].split(',').map((one) => one.trim()).filter((one) => one !== '').map(Number);
  const data = new Uint8Array(bytes.subarray(start)).buffer;
  return /<i8/.test(head) ? new Tensor('int64', new BigInt64Array(data), shape) : new Tensor('float32', new Float32Array(data), shape);
}

const [model, feeds] = process.argv.slice(2);
const session = await InferenceSession.create(model, { logSeverityLevel: 4 });
for (const folder of readdirSync(feeds)) {
  const tensors = readdirSync(join(feeds, folder)).map((name) => [name.replace(/\.npy$/, ''), tensorOf(join(feeds, folder, name))]);
  await session.run(Object.fromEntries(tensors));
}
process.exit();
