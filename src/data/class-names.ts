import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Classes that a model names; a number may lack a name. */
export interface KnownClasses {
  readonly path: string;
  readonly names: readonly (string | undefined)[];
}

/** From the `id2label` of each folder's Hugging Face config.json. A file that is none of Hugging Face's, or damaged, names none. */
export async function readClasses(dirs: readonly (string | undefined)[]): Promise<KnownClasses[]> {
  const known: KnownClasses[] = [];
  for (const dir of dirs) {
    if (dir === undefined) continue;
    const path = join(dir, 'config.json');
    const names = namesIn(await readFile(path, 'utf8').catch(() => ''));
    if (names) known.push({ path, names });
  }
  return known;
}

/** Names for numbered labels, from the first that has one for every label: for people to read. */
export function namesOfAll(labels: readonly number[], known: readonly KnownClasses[]): readonly string[] | undefined {
  const found = known.find(({ names }) => labels.every((label) => names[label] !== undefined));
  return found && Array.from(found.names, (name, at) => name ?? `class ${at}`);
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
