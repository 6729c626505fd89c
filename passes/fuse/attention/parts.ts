import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Flat, joined } from './heads.ts';

/** Parts of the last axis: one Split serves queries, keys and values. */
export class Parts {
  readonly #edit: Edit;
  readonly #splits = new Map<Value, Node>();

  constructor(edit: Edit) {
    this.#edit = edit;
  }
  of(flat: Flat): Value {
    const { value, part } = flat;
    if (!part) return joined(flat, this.#edit);
    let split = this.#splits.get(value);
    if (!split) {
      const attrs = { axis: 2, ...(this.#edit.opset >= 18 && { num_outputs: part.of }) };
      split = this.#edit.insert('Split', {
        inputs: [value],
        outputs: Array.from({ length: part.of }, () => ''),
        attrs,
      });
      this.#splits.set(value, split);
    }
    return split.output(part.index);
  }
}
