import type { Node } from '../ir/graph.ts';
import { weightBytesBehind } from '../ir/weights-behind.ts';
import type { SkippedRule } from '../report/report.ts';
import type { Trace } from './pass.ts';

export interface AppliedRule {
  readonly rule: string;
  readonly node: string;
  readonly detail: string | undefined;
}

/** Collects what rules did and why they did not, each distinct sentence once per node. */
export class Recorder implements Trace {
  readonly applications: AppliedRule[] = [];
  readonly skips: SkippedRule[] = [];
  readonly notes: string[] = [];
  readonly #seen = new Set<string>();

  applied(rule: string, node: Node | string, detail?: string): void {
    this.applications.push({ rule, node: String(node), detail });
  }
  skipped(rule: string, node: Node | string, why: string): void {
    const at = String(node);
    const key = `${rule}\0${at}\0${why}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const weightBytes = typeof node === 'string' ? 0 : weightBytesBehind(node);
    this.skips.push({ rule, node: at, why, ...(weightBytes > 0 && { weightBytes }) });
  }
  note(sentence: string): void {
    this.notes.push(sentence);
  }
  /** How often each rule fired, by name. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { rule } of this.applications) counts[rule] = (counts[rule] ?? 0) + 1;
    return counts;
  }
}
