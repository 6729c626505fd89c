/**
 * Binary rows that many clients send at once to a server that runs already: whole, slow, cut off, with shapes and sizes that lie. What
 * is right must get the answer of its own numbers, what is wrong a 4xx with `error`. For rows of 4 kB and more, which the server reads
 * side by side into one batch (lib/slabs.mjs), as those of cifar10-resnet20:
 *
 *   node test/bench/server-rows-fuzz.mjs <port> <name of the model> model.onnx [--requests 10000] [--seed 1]
 */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { requests: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const [port, name, file] = positionals;
let state = Number(values.seed) >>> 0;

/** From 0 to 1, the same for the same seed (mulberry32). */
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
const upTo = (count) => Math.floor(random() * count);

const session = await InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });
const [input] = session.inputNames;
const [output] = session.outputNames;
const dims = session.inputMetadata[0].shape.slice(1).map(Number);
/** Rows, and what the model says to each by itself. */
const rows = [];
for (let i = 0; i < 64; i++) {
  const x = Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => random() * 4 - 2);
  const results = await session.run({ [input]: new Tensor('float32', x, [1, ...dims]) });
  rows.push({ x, y: Array.from(results[output].data) });
}

/** Ways to describe `count` rows wrongly. */
const lies = [
  ({ bytes }) => ({ shape: [0, ...dims], datatype: 'FP32', size: bytes }),
  ({ count, bytes }) => ({ shape: [count + 1, ...dims], datatype: 'FP32', size: bytes }),
  ({ count, bytes }) => ({ shape: [count / 2 + 0.25, ...dims], datatype: 'FP32', size: bytes }),
  ({ bytes }) => ({ shape: [-1, ...dims], datatype: 'FP32', size: bytes }),
  ({ count, bytes }) => ({ shape: [count, ...dims], datatype: 'FP64', size: bytes }),
  ({ count, bytes }) => ({ shape: [count, ...dims], datatype: 'FP32', size: bytes - 4 }),
  ({ count, bytes }) => ({ shape: [count, ...dims.slice(0, -1), dims.at(-1) * 2], datatype: 'FP32', size: bytes }),
];

/** Sends `message` in pieces, at most a share `cut` of it. @returns {Promise<{ status: number | string, body?: string }>} */
function send(message, { cut, pause, pieces }) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let text = '';
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(20_000, () => end({ status: 'no answer' }));
    socket.on('error', () => end({ status: 'reset' }));
    socket.on('close', () => resolve({ status: 'closed' }));
    socket.on('data', (data) => {
      text += data.toString('latin1');
      const body = text.indexOf('\r\n\r\n') + 4;
      const length = /content-length: (\d+)/i.exec(text.slice(0, body));
      if (length && text.length >= body + Number(length[1])) end({ status: Number(text.slice(9, 12)), body: text.slice(body) });
    });
    socket.on('connect', async () => {
      const stop = Math.floor(message.length * (cut ?? 1));
      for (let piece = 0; piece < pieces && !socket.destroyed; piece++) {
        socket.write(message.subarray(Math.floor((stop * piece) / pieces), Math.floor((stop * (piece + 1)) / pieces)));
        if (pause > 0) await sleep(pause);
      }
      if (cut === undefined) return;
      await sleep(random() * 30);
      end({ status: 'cut off' });
    });
  });
}

/** What is wrong with the answer, or undefined. */
function complaint({ status, body }, expected) {
  if (expected === undefined) {
    if (status >= 400 && status < 500 && JSON.parse(body).error !== undefined) return undefined;
    return `a request that is wrong got ${status} ${body?.slice(0, 200)}`;
  }
  if (status === 429 || status === 503) return undefined;
  if (status !== 200) return `a request that is right got ${status} ${body?.slice(0, 200)}`;
  const found = JSON.parse(body).outputs.find((one) => one.name === output).data;
  const off = found.length === expected.length ? Math.max(...found.map((y, i) => Math.abs(y - expected[i]))) : Number.NaN;
  return off < 1e-3 ? undefined : `an answer is not that of its rows: off by ${off}`;
}

const statuses = new Map();
let wrong = 0;
async function one() {
  const count = random() < 0.7 ? 1 : 1 + upTo(6);
  const sent = Array.from({ length: count }, () => rows[upTo(rows.length)]);
  const binary = Buffer.concat(sent.map(({ x }) => Buffer.from(x.buffer)));
  const lie = random() < 0.3 ? lies[upTo(lies.length)] : undefined;
  const truth = { shape: [count, ...dims], datatype: 'FP32', size: binary.length };
  const { shape, datatype, size } = lie ? lie({ count, bytes: binary.length }) : truth;
  const json = Buffer.from(JSON.stringify({ inputs: [{ name: input, shape, datatype, parameters: { binary_data_size: size } }] }));
  // More is announced than ever comes, now and then.
  const more = random() < 0.03 ? 400 : 0;
  const head = `POST /v2/models/${name}/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nInference-Header-Content-Length: ${json.length}\r\nContent-Length: ${json.length + binary.length + more}\r\n\r\n`;
  const cut = more > 0 ? 1 : random() < 0.12 ? random() : undefined;
  const manner = { cut, pause: random() < 0.3 ? random() * 20 : 0, pieces: 1 + upTo(5) };
  const answer = await send(Buffer.concat([Buffer.from(head), json, binary]), manner);
  statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
  const expected = lie ? undefined : sent.flatMap(({ y }) => y);
  const why = cut === undefined ? complaint(answer, expected) : undefined;
  if (why === undefined) return;
  wrong++;
  process.stdout.write(`${why} (shape ${JSON.stringify(shape)}, ${datatype}, ${size} bytes)\n`);
}

let left = Number(values.requests);
const client = async () => {
  while (left-- > 0) await one();
};
await Promise.all(Array.from({ length: 48 }, client));
await session.release();
process.stdout.write(`${JSON.stringify(Object.fromEntries(statuses))}, wrong: ${wrong}\n`);
process.exitCode = wrong === 0 ? 0 : 1;
