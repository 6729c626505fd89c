import { spawn } from 'node:child_process';
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
    return wanted.flatMap((want) => gather(want, rows, options) ?? []);
  });
  return [judge({ provider: manifest.providers[0] ?? 'cpu', how: 'JSON lines' }, cases, outputs, options.findings)];
}

/** Undefined where a row has no such output, or values that are none of its type. */
function gather(
  { name, dtype, shape }: LoadedTensor,
  rows: readonly Record<string, unknown>[],
  { command, findings }: LinesOptions,
): GotTensor | undefined {
  if (!rows.every((row) => Object.hasOwn(row, name))) return undefined;
  try {
    return {
      name,
      dtype,
      shape,
      bytes: bytesOfNumbers(
        dtype,
        rows.flatMap((row) => [row[name]].flat(32)),
      ),
    };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    findings.push({ code: 'golden-refused', message: `"${command}" answers with output "${name}": ${error.message}` });
    return undefined;
  }
}

/** An answer, which is an object on a line of its own. @throws UserError `bundle-start` */
function parseAnswer(line: string, command: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new UserError('bundle-start', `"${command}" prints a line that is no JSON object: ${line.slice(0, 100)}`);
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
    killSignal: 'SIGKILL',
    signal,
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(-4000)));
  // A program that ends early closes its end: its exit says why.
  child.stdin.on('error', () => {});
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  // Not by node:readline, which also ends a line at U+2028: that may stand in a text.
  const printed: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => printed.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) =>
    child.once('close', resolve).once('error', reject),
  );
  const text = Buffer.concat(printed).toString('utf8');
  const answers = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => parseAnswer(line, command));
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
