import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import { graphsBelow, type Model, type Value } from '../../../src/ir/graph.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Trace } from '../../../src/pass/pass.ts';
import { provenanceKey } from '../../../src/rewrite/edit.ts';
import { type HalfFormat, storedAs } from './format.ts';

/** Below this a Cast node takes more room than the constant saves. */
const leastBytes = 256;

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
