import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** Where `child-programs.ts` has put what child processes run. */
const programs = process.env.MLPACK_TEST_PROGRAMS;

export async function load(url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await nextLoad(url, context);
  const path = fileURLToPath(url);
  const program = programs && join(programs, `${basename(path, '.ts')}.mjs`);
  if (program && path.endsWith('-entry.ts') && existsSync(program)) {
    const source = `import ${JSON.stringify(pathToFileURL(program).href)};`;
    return { format: 'module', source, shortCircuit: true };
  }
  const { transform } = await import('rolldown/utils');
  const { code, errors } = await transform(path, await readFile(path, 'utf8'), { lang: 'ts', sourcemap: false });
  if (errors.length > 0) throw new SyntaxError(`${path}: ${errors[0].message}`);
  return { format: 'module', source: code, shortCircuit: true };
}
