import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { UserError } from '../errors.ts';
import type { Finding } from './inspect.ts';
import { rowOf, takesRows } from './json-rows.ts';
import type { Manifest } from './manifest.ts';
import { bytesOfNumbers } from './number-bytes.ts';
import { type GotTensor, judge, type LoadedCase, type LoadedTensor, type Replay } from './replay.ts';

interface LinesOptions {
  readonly command: string;
  readonly dir: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly findings: Finding[];
}

/**
 * Replays golden cases through a program that reads one JSON object a line, a row each, and answers each with a line of
 * outputs. Where first dimensions vary, every row of a case goes by itself and the answers are put together again.
 * @throws UserError `bundle-start` with the end of what it printed, when it ends early or takes too long
 */
export async function replayLines(
  args: readonly string[],
  manifest: Manifest,
  cases: readonly LoadedCase[],
  options: LinesOptions,
): Promise<Replay[]> {
  const byRow = takesRows(manifest);
  const lines = cases.flatMap(({ inputs }) =>
    Array.from({ length: byRow ? (inputs[0]?.shape[0] ?? 0) : 1 }, (_, row) =>
      JSON.stringify(rowOf(inputs, byRow ? row : undefined)),
    ),
  );
  const answers = await converse(args, lines, options);
  let at = 0;
  const outputs = cases.map(({ inputs, outputs: wanted }) => {
    const count = byRow ? (inputs[0]?.shape[0] ?? 0) : 1;
    const rows = answers.slice(at, at + count);
    at += count;
    return wanted.map((want) => gather(want, rows));
  });
  return [judge({ provider: manifest.providers[0] ?? 'cpu', how: 'JSON lines' }, cases, outputs, options.findings)];
}

function gather(want: LoadedTensor, rows: readonly Record<string, unknown>[]): GotTensor {
  const values = rows.flatMap((row) => [row[want.name]].flat(32));
  return { name: want.name, dtype: want.dtype, shape: want.shape, bytes: bytesOfNumbers(want.dtype, values) };
}

async function converse(
  args: readonly string[],
  lines: readonly string[],
  { command, dir, timeoutMs, signal, findings }: LinesOptions,
): Promise<Record<string, unknown>[]> {
  const child = spawn(process.execPath, [...args], {
    cwd: dir,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: timeoutMs,
    signal,
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-4000)));
  // A program that ends early closes its end: its exit says why.
  child.stdin.on('error', () => {});
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  const ended = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject));
  const answers: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.trim() !== '') answers.push(JSON.parse(line) as Record<string, unknown>);
  }
  const code = await ended;
  if (code !== 0 || answers.length !== lines.length) {
    const what = `answered ${answers.length} of ${lines.length} lines and ended with ${code}`;
    throw new UserError('bundle-start', `"${command}" ${what}: ${complaint.trim() || 'it printed nothing'}`);
  }
  for (const { error } of answers) {
    if (error !== undefined)
      findings.push({ code: 'golden-refused', message: `"${command}" answers: ${String(error)}` });
  }
  return answers;
}
