import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { findCompiler } from './c-runner.ts';
import { readManifest } from './inspect.ts';
import type { ProgramRunner } from './replay-programs.ts';
import { runProgram } from './run-program.ts';

/**
 * A C program on ONNX Runtime's C API, compiled with its golden test as the README says. The runtime is the one that `ORT_HOME` names: no npm package
 * ships the header.
 */
export const ortCRunner: ProgramRunner = async (file) => {
  const home = process.env.ORT_HOME ?? '';
  const bundle = dirname(dirname(file));
  if (home === '' || !existsSync(join(home, 'include/onnxruntime_c_api.h')))
    throw new UserError('tool-missing', 'ORT_HOME names no ONNX Runtime with include/onnxruntime_c_api.h');
  const compiler = await findCompiler();
  if (compiler === undefined) throw new UserError('tool-missing', 'there is no C compiler on this machine');
  const manifest = await readManifest(bundle);
  const embedded = manifest.model.files.length === 1;
  const work = await mkdtemp(join(tmpdir(), 'mlpack-ort-c-'));
  const binary = join(work, 'golden');
  const upper = basename(file, '.c').toUpperCase();
  const sources = embedded
    ? [join(bundle, 'src/model_data.S'), '-I', join(bundle, 'model')]
    : [`-D${upper}_FILE="${join(bundle, 'model/model.onnx')}"`];
  const args = [
    '-std=c99',
    '-O2',
    '-I',
    join(bundle, 'include'),
    '-I',
    join(home, 'include'),
    file,
    join(bundle, 'test/golden.c'),
    ...sources,
  ];
  const { code, text } = await runProgram(compiler, [
    ...args,
    '-L',
    join(home, 'lib'),
    `-Wl,-rpath,${join(home, 'lib')}`,
    '-lonnxruntime',
    '-lm',
    '-o',
    binary,
  ]);
  if (code !== 0) {
    await rm(work, { recursive: true, force: true });
    throw new UserError('compile', `${compiler} does not compile the bundle: ${text.trim().slice(0, 600)}`);
  }
  let number = 0;
  return {
    provider: 'cpu',
    how: `compiled by ${compiler}, ONNX Runtime of ORT_HOME`,
    async run() {
      // The program reads the inputs of the case by itself; they are the same files.
      const own = number++;
      const result = await runProgram(binary, [bundle, work, String(own)]);
      if (result.code !== 0 && result.code !== 1)
        throw new UserError(
          'program-fails',
          `The compiled program ended with ${result.code}: ${result.text.trim().slice(0, 600)}`,
        );
      const outputs = manifest.golden[own]?.outputs ?? [];
      return Promise.all(
        outputs.map(async ({ name, dtype }, i) => {
          const dims = (await readFile(join(work, `${own}-${i}.dims`), 'utf8')).trim();
          const shape = dims === '' ? [] : dims.split(' ').map(Number);
          return { name, dtype, shape, bytes: await readFile(join(work, `${own}-${i}.bin`)) };
        }),
      );
    },
    close: () => rm(work, { recursive: true, force: true }),
  };
};
