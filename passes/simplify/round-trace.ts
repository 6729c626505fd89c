import type { Node } from '../../src/ir/graph.ts';
import type { Trace } from '../../src/pass/pass.ts';

/**
 * Passes on what was done, and keeps what was not until the end of the last round: an obstacle that a later round
 * removes is nothing to report.
 */
export class RoundTrace implements Trace {
  readonly #out: Trace;
  #skips: [string, Node | string, string][] = [];

  constructor(out: Trace) {
    this.#out = out;
  }
  applied(rule: string, node: Node | string, detail?: string): void {
    this.#out.applied(rule, node, detail);
  }
  skipped(rule: string, node: Node | string, why: string): void {
    this.#skips.push([rule, node, why]);
  }
  beginRound(): void {
    this.#skips = [];
  }
  end(): void {
    for (const [rule, node, why] of this.#skips) {
      if (typeof node === 'string' || !node.removed) this.#out.skipped(rule, node, why);
    }
    this.#skips = [];
  }
}
