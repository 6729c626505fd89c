/** Types of columns that go over to Parquet as they came, where the file itself names none: JSON Lines. */

import { jsonLines } from './lines.mjs';
import { keptValue } from './parts.mjs';
import { problem } from './problem.mjs';
import { formatOf } from './tables.mjs';

/**
 * One type for a column in all parts: no reader joins parts where a column of nulls is one thing and what follows another. That takes a reading
 * of all files before, and comes out the same for each shard, and after a crash.
 * @param {string[]} paths @param {string[]} keep @returns {Promise<Record<string, string>>} column → Parquet's type
 */
export async function keptTypes(paths, keep) {
  const found = new Map(keep.map((name) => [name, new Set()]));
  for (const path of paths.filter((one) => formatOf(one) === 'jsonl')) {
    for await (const row of jsonLines(path)) {
      if (row[problem] !== undefined) continue;
      for (const [name, kinds] of found) {
        const value = keptValue(row[name]);
        // A list becomes a column for each element, all of one type; lists in it are text.
        for (const one of Array.isArray(value) ? value : [value]) if (one !== null) kinds.add(typeof one);
      }
    }
  }
  return Object.fromEntries([...found].map(([name, kinds]) => [name, typeOf(kinds)]));
}

function typeOf(kinds) {
  const [kind] = kinds;
  if (kinds.size === 1 && kind === 'number') return 'DOUBLE';
  return kinds.size === 1 && kind === 'boolean' ? 'BOOLEAN' : 'STRING';
}
