import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Finding } from '../../src/target/inspect.ts';
import type { Manifest } from '../../src/target/manifest.ts';
import { bytesOfNumbers } from '../../src/target/number-bytes.ts';
import type { LoadedCase, Replay } from '../../src/target/replay.ts';
import { replayLambda } from '../../src/target/replay-lambda.ts';
import { replayLines } from '../../src/target/replay-lines.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

function caseOf(dtype: string, values: readonly unknown[]): LoadedCase {
  const tensor = { name: 'y', dtype, shape: [values.length], file: 'y.bin', bytes: bytesOfNumbers(dtype, values) };
  return { inputs: [{ ...tensor, name: 'x' }], outputs: [tensor], tolerance: { rtol: 0, atol: 0 } };
}

const manifest = { inputs: [], outputs: [{ shape: [1] }], providers: ['cpu'] } as unknown as Manifest;

/** Replays one case through a program that prints `text`. */
async function linesOf(one: LoadedCase, text: string): Promise<{ replay: Replay | undefined; findings: Finding[] }> {
  await writeFile(
    join(dir, 'print.mjs'),
    `process.stdin.resume().on('end', () => process.stdout.write(${JSON.stringify(text)}));`,
  );
  const findings: Finding[] = [];
  const options = { command: 'node print.mjs', dir, timeoutMs: 20_000, findings };
  const [replay] = await replayLines(['print.mjs'], manifest, [one], options);
  return { replay, findings };
}

it('reads lines of any text', async () => {
  const text = 'one\u2028two\u2029';
  const { replay, findings } = await linesOf(caseOf('string', [text]), `\n${JSON.stringify({ y: [text] })}\r\n`);
  expect([replay?.ok, findings]).toEqual([true, []]);
});

it('finds answers that are none', async () => {
  const label = caseOf('int64', [3]);
  const refused = await linesOf(label, '{"error":"no"}\n');
  expect(refused.replay?.ok).toBe(false);
  expect(refused.findings.map(({ code }) => code)).toEqual(['golden-refused', 'golden-mismatch']);
  const half = await linesOf(label, '{"y":[3.5]}\n');
  expect(half.findings[0]?.message).toContain('output "y": The number 3.5 cannot be converted to a BigInt');
  const nothing = await linesOf(caseOf('float32', [0]), '{"y":[null]}\n');
  expect(nothing.findings[0]?.message).toBe('"node print.mjs" answers with output "y": null is no number');
  for (const text of ['ready\n', 'null\n'])
    await expect(linesOf(label, text)).rejects.toMatchObject({
      code: 'bundle-start',
      message: expect.stringContaining('prints a line that is no JSON object'),
    });
});

it('reads what a function answers whole, and finds what is no answer', async () => {
  const texts = Array.from({ length: 60_000 }, () => 'größe');
  const program = (
    outputs: string,
  ): string => `const base = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
for (;;) {
  const event = await fetch(base + 'next');
  const { inputs } = await event.json();
  const id = event.headers.get('lambda-runtime-aws-request-id');
  await fetch(base + id + '/response', { method: 'POST', body: JSON.stringify({ outputs: ${outputs} }) });
}`;
  const replayed = async (one: LoadedCase, outputs: string): Promise<{ ok: boolean; findings: Finding[] }> => {
    await writeFile(join(dir, 'function.mjs'), program(outputs));
    const findings: Finding[] = [];
    const options = { command: 'node function.mjs', dir, timeoutMs: 20_000, findings };
    const [replay] = await replayLambda(['function.mjs'], manifest, [one], options);
    return { ok: replay?.ok === true, findings };
  };
  expect(await replayed(caseOf('string', texts), "[{ ...inputs[0], name: 'y' }]")).toEqual({ ok: true, findings: [] });
  const none = await replayed(caseOf('int64', [3]), "[{ name: 'y', shape: [1], data: [null] }, null]");
  expect(none.findings[0]?.message).toBe('Case 0: the function answers with output "y": null is no number.');
  expect((await replayed(caseOf('int64', [3]), "[{ name: 'y', shape: [1] }]")).ok).toBe(false);
});
