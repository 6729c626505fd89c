import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Kinds } from './kinds.ts';

/** An object: what it is called, its kind, its value. */
export type Named = readonly [name: string, kind: keyof Kinds, value: unknown];

const root = join(import.meta.dirname, '../../..');

/**
 * Has the compiler hold objects against the types of kinds.ts, as literals, so that a field nobody knows is an error at any depth.
 * @returns a sentence for each thing that is wrong: `base/pdb.yaml: Object literal may only specify known properties, …`
 */
export async function unknownFields(objects: readonly Named[]): Promise<string[]> {
  // Types are looked for in the folders above, so the file is among them.
  const folder = join(root, 'node_modules/.cache', `known-fields-${process.pid}`);
  await mkdir(folder, { recursive: true });
  try {
    const kinds = JSON.stringify(join(root, 'test/targets/support/kinds.ts'));
    const lines = objects.map(
      ([, kind, value], i) => `export const o${i}: Kinds[${JSON.stringify(kind)}] = ${JSON.stringify(value)};`,
    );
    await writeFile(join(folder, 'objects.ts'), [`import type { Kinds } from ${kinds};`, ...lines].join('\n'));
    const options = { strict: true, module: 'esnext', moduleResolution: 'bundler', target: 'es2022', types: [] };
    const more = { noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true };
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: { ...options, ...more }, files: ['objects.ts'] }),
    );
    const text = await compilerSays(folder);
    // One object a line, behind the import.
    return [...text.matchAll(/objects\.ts\((\d+),\d+\): error \w+: (.+(?:\n {2,}.+)*)/g)].map(
      ([, line, said]) => `${objects[Number(line) - 2]?.[0]}: ${said}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @returns what it writes, '' where all is well. @throws where it does not run, or complains of something else than the objects */
function compilerSays(folder: string): Promise<string> {
  const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc');
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [tsc, '--pretty', 'false', '-p', folder], (error, stdout, stderr) => {
      if (error !== null && !stdout.includes('objects.ts(')) reject(new Error(`${error.message}\n${stdout}${stderr}`));
      else resolve(stdout);
    });
  });
}
