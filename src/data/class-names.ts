import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Classes of the model by the `id2label` of the first config.json that has one: a number may lack a name. */
export interface KnownClasses {
  readonly path: string;
  readonly names: readonly (string | undefined)[];
}

export async function findClasses(dirs: readonly (string | undefined)[]): Promise<KnownClasses | undefined> {
  for (const dir of dirs) {
    if (dir === undefined) continue;
    const path = join(dir, 'config.json');
    const names = namesIn(await readFile(path, 'utf8').catch(() => ''));
    if (names) return { path, names };
  }
  return undefined;
}

/**
 * Names of classes from the `id2label` of a Hugging Face config.json, the first folder's that has one with a name for every label. Names are for
 * people to read: a file that is none of Hugging Face's, or damaged, gives none.
 */
export async function findClassNames(
  dirs: readonly (string | undefined)[],
  labels: readonly number[],
): Promise<readonly string[] | undefined> {
  for (const dir of dirs) {
    if (dir === undefined) continue;
    const names = namesIn(await readFile(join(dir, 'config.json'), 'utf8').catch(() => ''));
    if (names && labels.every((label) => names[label] !== undefined)) return names;
  }
  return undefined;
}

function namesIn(text: string): string[] | undefined {
  if (!text.includes('"id2label"')) return undefined;
  let config: { readonly id2label?: unknown };
  try {
    config = JSON.parse(text) as typeof config;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const names: string[] = [];
  for (const [id, name] of Object.entries(config.id2label ?? {}))
    if (/^\d{1,6}$/.test(id) && typeof name === 'string') names[Number(id)] = name;
  return names.length > 0 ? names : undefined;
}
