import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dataset } from '../data/dataset.ts';
import type { Companion } from '../target/target.ts';
import { companionNames } from './companion-names.ts';
import { modelFolder } from './data.ts';

/** The folder that a dataset names for its tokenizer or feature extractor. */
function namedFolder({ dir, preprocessing }: Dataset): string | undefined {
  for (const section of Object.values((preprocessing ?? {}) as Record<string, unknown>)) {
    const { tokenizer, features } = (section ?? {}) as { tokenizer?: unknown; features?: unknown };
    const named = tokenizer ?? features;
    if (typeof named === 'string') return join(dir, named);
  }
  return undefined;
}

/** What stands beside a model or its data; the folder that the data names goes first, as when the data is read. */
export async function findCompanions(file: string, dataset: Dataset | undefined): Promise<Companion[]> {
  const named = dataset && namedFolder(dataset);
  const folders = [...(named === undefined ? [] : [named]), ...(dataset ? [dataset.dir] : []), modelFolder(file)];
  const found: Companion[] = [];
  for (const name of companionNames) {
    for (const folder of folders) {
      const source = join(folder, name);
      const info = await stat(source).catch(() => undefined);
      if (!info?.isFile()) continue;
      found.push({ name, source, bytes: info.size });
      break;
    }
  }
  return found;
}
