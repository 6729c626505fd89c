import { probe } from '../../engine/isolated.ts';
import { median } from '../../engine/stats.ts';
import type { Tensor } from '../../ir/tensor.ts';

/** What starting costs: medians over child processes, of which each loads the file and runs it once. */
export interface ColdStart {
  readonly sessionMs: number;
  readonly firstMs: number;
  readonly peakRssBytes: number;
  readonly processes: number;
}

/** How many processes; with three the median leaves out one that the machine disturbed. */
const processes = 3;

/**
 * Session creation, first inference and peak memory of every file, in fresh processes, file after file in turns.
 * @returns by file, a sentence where it does not work.
 */
export async function coldStarts(
  files: readonly string[],
  feeds: ReadonlyMap<string, Tensor>,
  options: { readonly provider: string; readonly signal: AbortSignal },
): Promise<(ColdStart | string)[]> {
  const answers: (ColdStart | string)[] = files.map(() => '');
  const taken = files.map(() => ({ session: [] as number[], first: [] as number[], rss: [] as number[] }));
  for (let turn = 0; turn < processes; turn++) {
    for (const [at, file] of files.entries()) {
      const own = taken[at];
      if (!own || (turn > 0 && own.session.length === 0)) continue;
      const result = await probe(file, feeds, options);
      if (!result.ok) {
        answers[at] = result.why;
        continue;
      }
      own.session.push(result.sessionMs);
      own.first.push(result.firstRunMs);
      own.rss.push(result.peakRssBytes);
    }
  }
  return answers.map((why, at) => {
    const { session = [], first = [], rss = [] } = taken[at] ?? {};
    if (session.length === 0) return why;
    return { sessionMs: median(session), firstMs: median(first), peakRssBytes: median(rss), processes: session.length };
  });
}
