import { existsSync, readFileSync } from 'node:fs';
import type { OptionTable } from '../pass/options.ts';
import type { Pass } from '../pass/pass.ts';

/** What the command line shows of a pass before it runs one. */
export interface PassInfo {
  readonly id: string;
  readonly summary: string;
  readonly options: OptionTable;
  readonly rules: Readonly<Record<string, string>>;
  /** Where the build put it, seen from the list, and under what name: for loading it alone. */
  readonly module?: string;
  readonly exported?: string;
}

export interface PassList {
  readonly passes: readonly PassInfo[];
  readonly presets: readonly string[];
}

/** Written by the build beside the program (bin/bundle.mjs): `mlpack --help` reads one file instead of loading every pass. */
const listed = new URL('./list.json', import.meta.url);

let known: Promise<PassList> | undefined;

/** Names, flags and rules of all passes: from the list beside the built program, or, where modules run alone, from the registry. */
export function listPasses(): Promise<PassList> {
  known ??= readList();
  return known;
}

async function readList(): Promise<PassList> {
  if (existsSync(listed)) return JSON.parse(readFileSync(listed, 'utf8')) as PassList;
  const { passes } = await import('../../passes/index.ts');
  const { presets } = await import('../../passes/presets.ts');
  return { passes, presets: Object.keys(presets) };
}

/** The pass alone, from its own file; undefined where no build has put it in one. */
export async function loadListed({ module, exported }: PassInfo): Promise<Pass | undefined> {
  if (module === undefined || exported === undefined) return undefined;
  const found = (await import(new URL(module, listed).href)) as Readonly<Record<string, Pass>>;
  return found[exported];
}
