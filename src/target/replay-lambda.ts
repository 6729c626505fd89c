import { spawn } from 'node:child_process';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UserError } from '../errors.ts';
import { protocolDatatypes as datatypes } from './datatypes.ts';
import type { Finding } from './inspect.ts';
import type { Manifest } from './manifest.ts';
import { bytesOfNumbers, jsonData } from './number-bytes.ts';
import { type GotTensor, judge, type LoadedCase, type Replay } from './replay.ts';

interface LambdaOptions {
  readonly command: string;
  readonly dir: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly findings: Finding[];
}

interface Answer {
  readonly outputs?: readonly { readonly name: string; readonly shape: number[]; readonly data: unknown[] }[];
  readonly errorMessage?: string;
}

/**
 * Replays golden cases through a function by playing Lambda's Runtime API (2018-06-01) for it, and notes its cold start.
 * @throws UserError `bundle-start` when the function ends, reports that it cannot start, or takes too long
 */
export async function replayLambda(
  args: readonly string[],
  manifest: Manifest,
  cases: readonly LoadedCase[],
  options: LambdaOptions,
): Promise<Replay[]> {
  const events = cases.map(({ inputs }) => ({
    inputs: inputs.map((tensor) => ({
      name: tensor.name,
      datatype: datatypes[tensor.dtype],
      shape: tensor.shape,
      data: jsonData(tensor),
    })),
  }));
  const { answers, readyMs } = await invoke(args, events, options);
  const outputs = cases.map(({ outputs: wanted }, n): GotTensor[] => {
    const { outputs: got, errorMessage } = answers[n] ?? {};
    if (errorMessage !== undefined) {
      options.findings.push({ code: 'golden-refused', message: `Case ${n}: the function answers "${errorMessage}".` });
    }
    return wanted.flatMap(({ name, dtype }) => {
      const one = Array.isArray(got) ? got.find((output) => output?.name === name) : undefined;
      if (!Array.isArray(one?.shape) || !Array.isArray(one.data)) return [];
      try {
        return { name, dtype, shape: one.shape, bytes: bytesOfNumbers(dtype, one.data) };
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        const message = `Case ${n}: the function answers with output "${name}": ${error.message}.`;
        options.findings.push({ code: 'golden-refused', message });
        return [];
      }
    });
  });
  const way = { provider: manifest.providers[0] ?? 'cpu', how: 'Lambda Runtime API' };
  return [{ ...judge(way, cases, outputs, options.findings), readyMs }];
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

async function invoke(
  args: readonly string[],
  events: readonly object[],
  { command, dir, timeoutMs, signal }: LambdaOptions,
): Promise<{ answers: Answer[]; readyMs: number }> {
  const answers: Answer[] = [];
  let given = 0;
  let readyMs = 0;
  let finish: (problem?: string) => void = () => {};
  const finished = new Promise<string | undefined>((resolve) => (finish = resolve));
  const started = performance.now();
  const api = createServer((request, response) => {
    play(request, response).catch((error: unknown) => finish(String(error)));
  });
  const play = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    if (path.endsWith('/invocation/next')) {
      if (readyMs === 0) readyMs = performance.now() - started;
      // After the last event the function waits, as it does in Lambda.
      if (given >= events.length) {
        finish();
        return;
      }
      const headers = {
        'lambda-runtime-aws-request-id': `check-${given}`,
        'lambda-runtime-deadline-ms': String(Date.now() + timeoutMs),
      };
      response.writeHead(200, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(events[given++]));
      return;
    }
    const body = JSON.parse(await textOf(request)) as Answer;
    response.writeHead(202).end('{}');
    if (path.endsWith('/init/error')) finish(`it cannot start: ${body.errorMessage}`);
    else answers.push(body);
  };
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  const { port } = api.address() as AddressInfo;
  const env = { ...process.env, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}`, NODE_OPTIONS: '' };
  const child = spawn(process.execPath, [...args], { cwd: dir, env, stdio: ['ignore', 'ignore', 'pipe'], signal });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-4000)));
  const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('error', (error) => finish(error.message));
  void exit.then(() => finish(`it ended: ${complaint.trim() || 'it printed nothing'}`));
  const late = setTimeout(() => finish(`it took more than ${timeoutMs / 1000} s`), timeoutMs);
  try {
    const problem = await finished;
    if (problem !== undefined) throw new UserError('bundle-start', `"${command}": ${problem}`);
    return { answers, readyMs };
  } finally {
    clearTimeout(late);
    child.kill('SIGKILL');
    await exit;
    api.closeAllConnections();
    api.close();
  }
}
