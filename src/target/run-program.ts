import { spawn } from 'node:child_process';

/** Runs a program to its end; the last of what it printed comes back. Rejects where it cannot be started. */
export async function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ code: number | null; text: string }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      text = (text + chunk.toString('utf8')).slice(-20_000);
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, text };
}
