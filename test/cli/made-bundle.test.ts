import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { madeBundle } from '../../src/cli/optimize/made-bundle.ts';
import { UserError } from '../../src/errors.ts';
import { tempDir } from '../targets/support/temp.ts';

const folder = await tempDir();

async function attempt(outcome: unknown): Promise<{ made: unknown; said: string[]; dir: string }> {
  const dir = join(folder, 'bundle');
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'half.txt'), 'half');
  const said: string[] = [];
  const build = async (): Promise<unknown> => {
    if (outcome instanceof Error) throw outcome;
    return outcome;
  };
  const about = { target: 'lambda', variant: 'int8', dir };
  return { made: await madeBundle(build, about, { warn: (text) => said.push(text) }), said, dir };
}

it('a bundle that cannot be made is said, and nothing of it stays', async () => {
  const { made, said, dir } = await attempt(new UserError('npm-missing', 'npm is not there; install it.'));
  expect(made).toBeUndefined();
  expect(said).toEqual(['no bundle for lambda: it cannot be made of int8. npm is not there; install it.']);
  expect(existsSync(dir)).toBe(false);
});

it('a bundle that was made, and errors of the program, come as they are', async () => {
  const { made, said, dir } = await attempt({ files: 1 });
  expect([made, said, existsSync(dir)]).toEqual([{ files: 1 }, [], true]);
  await expect(attempt(new TypeError('no'))).rejects.toThrow(TypeError);
});
