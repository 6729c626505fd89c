import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { readManifest } from './inspect.ts';
import type { ProgramRunner } from './replay-programs.ts';
import { runProgram } from './run-program.ts';

/** Compilers tried in this order. */
const compilers = ['cc', 'gcc', 'clang'];

/** The first C compiler of this machine; undefined where there is none. */
export async function findCompiler(): Promise<string | undefined> {
  for (const name of compilers) {
    const found = await runProgram(name, ['--version']).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'EACCES') return undefined;
      throw error;
    });
    if (found?.code === 0) return name;
  }
  return undefined;
}

/** Generated C of a bundle: compiled with its test program as the README says, and run on one case after the other. */
export const cRunner: ProgramRunner = async (file) => {
  const compiler = await findCompiler();
  if (compiler === undefined)
    throw new UserError('tool-missing', `there is no C compiler on this machine (${compilers.join(', ')})`);
  const outputs = (await readManifest(dirname(file))).golden[0]?.outputs ?? [];
  const work = await mkdtemp(join(tmpdir(), 'mlpack-c-'));
  const binary = join(work, 'golden');
  try {
    const sources = [file, join(dirname(file), 'test/golden.c')];
    const { code, text } = await runProgram(compiler, ['-std=c99', '-O2', ...sources, '-lm', '-o', binary]);
    if (code !== 0)
      throw new UserError('compile', `${compiler} does not compile the bundle: ${text.trim().slice(0, 600)}`);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  let count = 0;
  return {
    provider: 'c99',
    how: [`compiled by ${compiler}`, ...(await cortexSize(file, work))].join(', '),
    async run(inputs) {
      const place = join(work, `case-${count++}`);
      await makeFolder(join(place, '0'));
      for (const [i, { bytes }] of inputs.entries()) await writeFile(join(place, `0/input-${i}.bin`), bytes);
      // The judge compares, so what the test program is to compare with does not matter: it wants files of the right size.
      for (const [i, { dtype, shape }] of outputs.entries())
        await writeFile(join(place, `0/output-${i}.bin`), new Uint8Array(bytesOf(dtype, shape)));
      const { code, text } = await runProgram(binary, [place, place, '0', '1']);
      if (code !== 0 && code !== 1)
        throw new UserError('program-fails', `The compiled model ended with ${code}: ${text.trim().slice(0, 600)}`);
      return Promise.all(
        outputs.map(async ({ name, dtype, shape }, i) => ({
          name,
          dtype,
          shape,
          bytes: await readFile(join(place, `0-${i}.bin`)),
        })),
      );
    },
    close: () => rm(work, { recursive: true, force: true }),
  };
};

/** What the model takes of a Cortex-M4 with a float unit, where its compiler is on this machine: code and weights in flash, the arena in RAM. */
async function cortexSize(file: string, work: string): Promise<string[]> {
  const object = join(work, 'cortex.o');
  const processor = ['-mcpu=cortex-m4', '-mthumb', '-mfloat-abi=hard', '-mfpu=fpv4-sp-d16'];
  try {
    const made = await runProgram('arm-none-eabi-gcc', ['-std=c99', '-Os', ...processor, '-c', file, '-o', object]);
    if (made.code !== 0) return [`not compiled for Cortex-M4: ${made.text.trim().slice(0, 200)}`];
    const { text } = await runProgram('arm-none-eabi-size', [object]);
    const [, flash, data, bss] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s/m.exec(text) ?? [];
    if (flash === undefined) return [];
    return [`on a Cortex-M4 (-Os) ${flash} bytes of flash and ${Number(data) + Number(bss)} of RAM`];
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return [];
  }
}

const widths: Readonly<Record<string, number>> = { float32: 4, int64: 8, int32: 4, uint32: 4, int16: 2, uint16: 2 };

function bytesOf(dtype: string, shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, widths[dtype] ?? 1);
}
