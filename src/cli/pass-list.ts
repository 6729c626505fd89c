import { existsSync, readFileSync } from 'node:fs';
import type { OptionTable } from '../pass/options.ts';

/** What the command line shows of a pass before it runs one. */
export interface PassInfo {
  readonly id: string;
  readonly summary: string;
  readonly options: OptionTable;
  readonly rules: Readonly<Record<string, string>>;
  /** Where the build put it, below passes/, and under what name: for loading it alone. */
  readonly module?: string;
  readonly exported?: string;
}

export interface PassList {
  readonly passes: readonly PassInfo[];
  readonly presets: readonly string[];
}

/** Written by the build (bin/list-passes.mjs): `mlpack --help` reads one file instead of loading every pass. */
const listed = new URL('../../passes/list.json', import.meta.url);

/** Names, flags and rules of all passes: from the build's list, or, in a checkout that runs from sources, from the registry. */
export async function listPasses(): Promise<PassList> {
  if (existsSync(listed)) return JSON.parse(readFileSync(listed, 'utf8')) as PassList;
  const { passes } = await import('../../passes/index.ts');
  const { presets } = await import('../../passes/presets.ts');
  return { passes, presets: Object.keys(presets) };
}
