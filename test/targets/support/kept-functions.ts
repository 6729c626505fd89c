import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Workshop } from '../../../src/target/target.ts';

const folder = join(process.env.MLPACK_CACHE ?? tmpdir(), 'functions-run');

/**
 * The workshop, with what the runtime of browsers runs of its functions found out once in a run of the tests for the same model and inputs: it takes
 * seconds, and bundles of one classifier are what most tests of the browser are about.
 * @param model SHA-256 of the model file
 */
export function keepFunctions(workshop: Workshop, model: string): Workshop {
  const { webFunctionsRun } = workshop;
  if (!webFunctionsRun) return workshop;
  return {
    ...workshop,
    async webFunctionsRun(request) {
      const { runtime, config, inputs, cases } = request;
      const hash = createHash('sha256').update(JSON.stringify([model, runtime, config, inputs]));
      for (const { name, shape, bytes } of cases.flatMap((one) => one.inputs))
        hash.update(JSON.stringify([name, shape])).update(bytes);
      const file = join(folder, `${hash.digest('hex')}.json`);
      if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as number[];
      const found = await webFunctionsRun(request);
      mkdirSync(folder, { recursive: true });
      const part = `${file}.${process.pid}`;
      writeFileSync(part, JSON.stringify(found));
      renameSync(part, file);
      return found;
    },
  };
}
