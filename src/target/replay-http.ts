import { protocolDatatypes as datatypes } from './datatypes.ts';
import type { Finding } from './inspect.ts';
import type { Manifest } from './manifest.ts';
import { bytesOfNumbers, carriedByJson, jsonData } from './number-bytes.ts';
import { type GotTensor, judge, type LoadedCase, type LoadedTensor, type Replay } from './replay.ts';

const dtypes = new Map(Object.entries(datatypes).map(([dtype, datatype]) => [datatype, dtype]));

interface ResponseOutput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size?: number };
}

/** The server answered something other than an inference, or not at all. */
class Refused extends Error {}

/**
 * What a misbehaving server makes `fetch` and the reading of its answer throw: a broken connection or a missing field
 * (TypeError), no JSON (SyntaxError), bytes that are no whole elements (RangeError), silence (TimeoutError).
 */
function refusal(error: unknown): unknown {
  const { cause, message, name } = error as Error;
  if (name === 'TimeoutError') return new Refused('the server does not answer in time');
  if (error instanceof SyntaxError) return new Refused('the answer is not JSON');
  if (!(error instanceof TypeError) && !(error instanceof RangeError)) return error;
  const why = cause instanceof Error && cause.message !== '' ? `${message} (${cause.message})` : message;
  return new Refused(`the server breaks off, or its answer has not the form of the protocol: ${why}`);
}

interface Limits {
  /** For one answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

type Ask = (url: string, request?: RequestInit) => Promise<Response>;

/** Gives `fetch` with these limits to `work`. @throws Refused where the server is to blame. */
async function asking<T>({ timeoutMs, signal }: Limits, work: (ask: Ask) => Promise<T>): Promise<T> {
  try {
    return await work((url, request) => {
      const late = AbortSignal.timeout(timeoutMs);
      return fetch(url, { ...request, signal: signal ? AbortSignal.any([signal, late]) : late });
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw refusal(error);
  }
}

/** Sends every golden case to a running server, as JSON where JSON can carry it and as binary tensors, and judges the answers. */
export async function replayHttp(
  url: string,
  manifest: Manifest,
  cases: readonly LoadedCase[],
  findings: Finding[],
  limits: Limits,
): Promise<Replay[]> {
  const model = `${url}/v2/models/${encodeURIComponent(manifest.model.name)}`;
  await checkMetadata(model, manifest, findings, limits);
  const replays: Replay[] = [];
  // What JSON leaves out the binary form carries.
  const inJson = carriedByJson(cases, []);
  for (const [how, chosen, send] of [
    ['JSON over HTTP', inJson, sendJson],
    ['binary tensors over HTTP', cases, sendBinary],
  ] as const) {
    if (chosen.length === 0) continue;
    const outputs: GotTensor[][] = [];
    try {
      for (const one of chosen) outputs.push(await asking(limits, (ask) => send(ask, `${model}/infer`, one)));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      findings.push({ code: 'inference-failed', message: `Case ${outputs.length} (${how}): ${error.message}` });
      replays.push({ provider: 'cpu', how, cases: chosen.length, maxAbs: 0, ok: false });
      continue;
    }
    replays.push(judge({ provider: 'cpu', how }, chosen, outputs, findings));
  }
  return replays;
}

async function checkMetadata(model: string, manifest: Manifest, findings: Finding[], limits: Limits): Promise<void> {
  let body: { inputs?: unknown; outputs?: unknown };
  try {
    body = await asking(limits, async (ask) => Object(await (await ask(model)).json()));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    findings.push({ code: 'metadata-mismatch', message: `The model's metadata cannot be read: ${error.message}.` });
    return;
  }
  const expected = (values: Manifest['inputs']): unknown =>
    values.map(({ name, dtype, shape }) => ({
      name,
      datatype: datatypes[dtype],
      shape: (shape ?? [null]).map((dim) => (typeof dim === 'number' ? dim : -1)),
    }));
  for (const role of ['inputs', 'outputs'] as const) {
    if (JSON.stringify(body[role]) !== JSON.stringify(expected(manifest[role]))) {
      findings.push({ code: 'metadata-mismatch', message: `The server describes other ${role} than the manifest.` });
    }
  }
}

function head({ name, dtype, shape }: LoadedTensor): {
  name: string;
  datatype: string | undefined;
  shape: readonly number[];
} {
  return { name, datatype: datatypes[dtype], shape };
}

async function post(
  ask: Ask,
  url: string,
  body: string | Uint8Array,
  headers: Record<string, string>,
): Promise<Response> {
  // A copy into a plain ArrayBuffer is what fetch's types ask for.
  const response = await ask(url, {
    method: 'POST',
    headers,
    body: typeof body === 'string' ? body : new Uint8Array(body),
  });
  if (response.ok) return response;
  throw new Refused(`the server answers ${response.status}: ${(await response.text()).slice(0, 500)}`);
}

async function sendJson(ask: Ask, url: string, { inputs }: LoadedCase): Promise<GotTensor[]> {
  const request = { id: 'mlpack-check', inputs: inputs.map((tensor) => ({ ...head(tensor), data: jsonData(tensor) })) };
  const response = await post(ask, url, JSON.stringify(request), { 'content-type': 'application/json' });
  const { id, outputs } = (await response.json()) as { id?: string; outputs: ResponseOutput[] };
  if (id !== request.id) throw new Refused('the answer does not carry the id of the request');
  return outputs.map(({ name, datatype, shape, data }) => {
    const dtype = dtypes.get(datatype) ?? datatype;
    return { name, dtype, shape, bytes: bytesOfNumbers(dtype, data ?? []) };
  });
}

async function sendBinary(ask: Ask, url: string, { inputs }: LoadedCase): Promise<GotTensor[]> {
  const request = {
    parameters: { binary_data_output: true },
    inputs: inputs.map((tensor) => ({ ...head(tensor), parameters: { binary_data_size: tensor.bytes.length } })),
  };
  const json = Buffer.from(JSON.stringify(request), 'utf8');
  const body = Buffer.concat([json, ...inputs.map(({ bytes }) => bytes)]);
  const response = await post(ask, url, body, {
    'content-type': 'application/octet-stream',
    'inference-header-content-length': String(json.length),
  });
  const answer = Buffer.from(await response.arrayBuffer());
  const length = Number(response.headers.get('inference-header-content-length') ?? Number.NaN);
  if (!(length <= answer.length)) throw new Refused('the answer has no valid Inference-Header-Content-Length');
  const { outputs } = JSON.parse(answer.toString('utf8', 0, length)) as { outputs: ResponseOutput[] };
  let at = length;
  return outputs.map(({ name, datatype, shape, parameters }) => {
    const size = parameters?.binary_data_size ?? 0;
    const bytes = new Uint8Array(answer.subarray(at, at + size));
    at += size;
    return { name, dtype: dtypes.get(datatype) ?? datatype, shape, bytes };
  });
}
