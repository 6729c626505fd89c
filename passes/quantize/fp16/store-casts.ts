import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import { graphsBelow, type Model, type Value } from '../../../src/ir/graph.ts';
import { float32Pieces, type Tensor } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Trace } from '../../../src/pass/pass.ts';
import { provenanceKey } from '../../../src/rewrite/edit.ts';
import { type HalfFormat, storedAs } from './format.ts';

/** Below this a Cast node takes more room than the constant saves. */
const leastBytes = 256;

/** Constants of mostly such numbers are left: single ones are dead channels, which may go. */
function vanishing(tensor: Tensor, { dtype, vanishes }: HalfFormat): string | undefined {
  let [small, others] = [0, 0];
  for (const piece of float32Pieces(tensor))
    for (let at = 0; at < piece.length; at++) {
      const x = Math.abs(piece[at] as number);
      if (x > 0 && x <= vanishes) small++;
      else if (x > 0) others++;
    }
  return small > others
    ? `${small} of its ${small + others} numbers that are not 0 are below ${vanishes.toPrecision(2)}, which ${dtype} has as 0`
    : undefined;
}

/** Stores float32 constants in 16 bits, each with one Cast back to float32 at the start of its graph, so that all nodes compute as before. */
export function storeWithCasts(
  model: Model,
  format: HalfFormat,
  keep: (value: Value) => boolean,
  trace: Trace,
): boolean {
  let changed = false;
  for (const graph of graphsBelow(model.graph)) {
    const constants = new Set<Value>(graph.initializers);
    for (const node of graph.nodes) if (node.is('Constant')) constants.add(node.output());
    for (const value of constants) {
      const tensor = constantOf(value);
      if (tensor?.dtype !== 'float32' || tensor.byteLength < leastBytes || value.useCount === 0) continue;
      if (value.isGraphOutput || value.isGraphInput || keep(value)) continue;
      const first = graph.firstNode;
      if (!first) continue;
      const lost = vanishing(tensor, format);
      if (lost !== undefined) {
        trace.skipped('stored', `"${value.name}"`, `${lost}, so it stays float32`);
        continue;
      }
      const stored = graph.addInitializer(`${value.name}_${format.suffix}`, storedAs(tensor, format));
      const cast = graph.insertBefore(first, 'Cast', {
        inputs: [stored],
        outputs: [graph.freshName(`${value.name}_fp32`)],
        attrs: { to: dtypeCode('float32') },
        types: [tensorType('float32', tensor.shape)],
      });
      cast.meta = new Map([[provenanceKey, `to-${format.suffix}(${value.name})`]]);
      graph.replaceUses(value, cast.output());
      trace.applied('stored', `"${value.name}"`);
      if (value.producer) graph.removeWithUnused(value.producer);
      else graph.removeInitializer(value);
      changed = true;
    }
  }
  return changed;
}
