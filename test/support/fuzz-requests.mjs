/** Requests that nobody should send, from a seed. For the classifier of test/targets/support/artifact.ts, named `tiny`. */
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';

/** A generator of numbers in [0, 1) (mulberry32). */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const weird = [
  null, true, false, 0, -1, 1, 1.5, -0, 1e308, 2 ** 31, 2 ** 53, -(2 ** 53), '', '1', 'NaN', '__proto__', 'constructor',
  '\u0000', '\ud800', '../../etc/passwd', [], {}, [[]], [null], { length: 144 }, { toString: 1 }, '9'.repeat(400),
];
const datatypes = ['FP32', 'FP64', 'FP16', 'BF16', 'INT64', 'BYTES', 'BOOL', 'UINT8', 'fp32', '', null, 7, 'toString'];
const paths = [
  '/v2/models/tiny/infer', '/v2/models/tiny/versions/1/infer', '/invocations', '/v2/models/tiny/versions/999/infer',
  '/v2/models/%2e%2e%2f%2e%2e/infer', '/v2/models/tiny/versions/..%2f/infer', '/v2/models/tiny%00/infer', '/v2/%zz',
  '//v2/models/tiny/infer', '/v2/models/__proto__/infer', '/v2/models/tiny/infer?x=' + 'y'.repeat(2000),
  '/v2/repository/index', '/v2/repository/models/tiny/load', `/v2/models/${'a'.repeat(3000)}/infer`, '/metrics', '/',
];

export function fuzzer(seed) {
  const next = random(seed);
  const below = (n) => Math.floor(next() * n);
  const pick = (list) => list[below(list.length)];
  const good = () => ({
    id: `fuzz-${below(1e9)}`,
    inputs: [{ name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: Array(144).fill(0.5) }],
  });

  /** Sets one place of a value, chosen at random, to something weird, or removes or doubles it. */
  function mutate(value) {
    const places = [];
    (function walk(at) {
      if (typeof at !== 'object' || at === null) return;
      const keys = Object.keys(at);
      for (const key of keys.length > 20 ? keys.slice(0, 5) : keys) {
        places.push([at, key]);
        walk(at[key]);
      }
    })(value);
    const [holder, key] = pick(places);
    const kind = below(4);
    if (kind === 0 && !Array.isArray(holder)) delete holder[key];
    else if (kind === 1 && Array.isArray(holder)) holder.push(holder[key]);
    else if (kind === 2 && Array.isArray(holder[key])) holder[key] = holder[key].slice(0, below(holder[key].length + 1));
    else holder[key] = pick(weird);
    return value;
  }

  const dims = () => Array.from({ length: below(6) }, () => pick([0, 1, 2, 12, 144, -1, 1.5, 2 ** 31, 2 ** 52, 1e6]));

  function binary() {
    const bytes = Buffer.from(Float32Array.from({ length: pick([0, 1, 143, 144, 145, 288]) }, () =>
      pick([0, 1, Number.NaN, Number.POSITIVE_INFINITY, -1e38])).buffer);
    const size = pick([bytes.length, bytes.length - 4, bytes.length + 4, 576, -1, 1.5, 2 ** 40, '576', null]);
    const input = { name: 'image', datatype: pick(['FP32', pick(datatypes)]), shape: pick([[1, 1, 12, 12], [2, 1, 12, 12], dims()]) };
    const json = Buffer.from(JSON.stringify({ inputs: [{ ...input, parameters: { binary_data_size: size } }] }));
    const header = pick([json.length, json.length, json.length, json.length - 1, json.length + 1, 0, -5, 1e15, 'abc', '0x10', '']);
    return { headers: { 'inference-header-content-length': String(header) }, body: Buffer.concat([json, bytes]) };
  }

  function deep() {
    const depth = pick([10, 1000, 20_000]);
    const [open, close] = pick([['[', ']'], ['{"inputs":', '}'], ['[{"data":', '}]']]);
    return { body: Buffer.from(open.repeat(depth) + '1' + close.repeat(pick([depth, depth - 1]))) };
  }

  const kinds = [
    () => ({ body: Buffer.from(JSON.stringify(mutate(good()))) }),
    () => ({ body: Buffer.from(JSON.stringify(mutate(mutate(good())))) }),
    () => {
      const request = good();
      request.inputs[0].shape = dims();
      return { body: Buffer.from(JSON.stringify(request)) };
    },
    () => {
      const request = good();
      request.inputs[0].datatype = pick(datatypes);
      return { body: Buffer.from(JSON.stringify(request)) };
    },
    binary,
    binary,
    deep,
    () => {
      const text = JSON.stringify(good());
      return { body: Buffer.from(text.slice(0, below(text.length))) };
    },
    () => ({ body: Buffer.from(Array.from({ length: below(800) }, () => below(256))) }),
    () => ({ path: pick(paths), method: pick(['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH']), body: Buffer.from(JSON.stringify(good())) }),
    () => ({
      headers: {
        [pick(['content-encoding', 'content-type', 'x-request-id', 'authorization', 'accept', 'traceparent', 'expect'])]:
          pick(['gzip', 'application/json', 'x'.repeat(3000), '00-zz', 'multipart/form-data; boundary=', '100-continue', '\u00ff']),
      },
      body: Buffer.from(JSON.stringify(good())),
    }),
    () => ({ path: '/invocations', body: Buffer.from(JSON.stringify({ instances: pick([[], pick(weird), [pick(weird)], [{ image: pick(weird) }], Array.from({ length: 3 }, () => [[1]])]) })) }),
    () => ({ raw: rawRequest() }),
  ];

  /** Text that goes to the socket as it is: lengths that lie, heads that are none. */
  function rawRequest() {
    const body = JSON.stringify(good());
    const line = `POST ${pick(['/v2/models/tiny/infer', '/v2/../../x', '*', 'http://x/y'])} HTTP/1.1\r\nHost: x\r\n`;
    return pick([
      `${line}Content-Length: ${body.length + below(50) + 1}\r\n\r\n${body}`,
      `${line}Content-Length: ${Math.max(0, body.length - below(100) - 1)}\r\n\r\n${body}`,
      `${line}Content-Length: ${pick(['-1', 'abc', '1e3', '99999999999999999999'])}\r\n\r\n${body}`,
      `${line}Content-Length: 5\r\nContent-Length: 6\r\n\r\n${body}`,
      `${line}Transfer-Encoding: chunked\r\n\r\n${pick(['zz\r\n', '5\r\nab\r\n', 'ffffffffff\r\n', '0\r\n\r\n'])}${body}`,
      `${line}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
      `${pick(['GET', 'POST', '\u0000', 'BREW'])} ${body}\r\n\r\n`,
      `${line}${'X: y\r\n'.repeat(pick([10, 3000]))}\r\n`,
    ]);
  }

  return () => ({ path: '/v2/models/tiny/infer', method: 'POST', headers: {}, ...pick(kinds)() });
}

/** Sends one. Gives { status, text } or { status: 0 } where the connection was closed without an answer. */
export function send(port, { path, method, headers, body, raw }, agent) {
  if (raw !== undefined) return sendRaw(port, raw);
  return new Promise((resolve) => {
    const call = httpRequest({ port, host: '127.0.0.1', path, method, agent, headers: { ...headers, 'content-length': body.length } });
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('latin1');
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode, text, headers: response.headers }));
      response.on('error', () => resolve({ status: 0, text: '' }));
    });
    call.on('error', () => resolve({ status: 0, text: '' }));
    call.end(body);
  });
}

function sendRaw(port, raw) {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(raw, 'latin1'));
    // A body that never comes in full would be waited for: half a second is enough to see what comes.
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => {});
    socket.on('close', () => {
      const [head, ...rest] = text.split('\r\n\r\n');
      resolve({ status: Number(head.match(/^HTTP\/1\.1 (\d+)/)?.[1] ?? 0), text: rest.join('\r\n\r\n'), raw: true });
    });
  });
}

/** What is wrong with an answer, in words; undefined where it is as it should be. */
export function complaint(request, { status, text, raw, headers }) {
  if (status === 0) return request.raw === undefined && request.headers.expect === undefined ? 'no answer' : undefined;
  if (status >= 200 && status < 300) return undefined;
  if (status >= 500 && status !== 503) return `status ${status}`;
  if (status < 400) return `status ${status}`;
  if (request.method === 'HEAD' || raw || headers['content-length'] === '0') return undefined;
  try {
    const { error } = JSON.parse(Buffer.from(text, 'latin1').toString('utf8'));
    return typeof error === 'string' && error.length > 0 && error.length < 1000 ? undefined : `no error in ${text.slice(0, 200)}`;
  } catch {
    return `the answer is not JSON: ${text.slice(0, 200)}`;
  }
}
