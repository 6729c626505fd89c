import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Graph, Node, Value } from '../../../src/ir/graph.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { HalfFormat } from './format.ts';
import type { Precision } from './plan.ts';

/**
 * Casts between the precisions: one per value, direction and graph. A cast stands right behind the producer of its value,
 * or at the start of the graph when the value comes from outside, so every reader comes after it. A cast that a subgraph
 * needs stands in the subgraph; one that an outer graph has already is used there too.
 */
export class Casts {
  readonly made: Node[] = [];
  readonly #format: HalfFormat;
  readonly #known = new Map<Graph, Map<Value, Partial<Record<Precision, Value>>>>();

  constructor(format: HalfFormat) {
    this.#format = format;
  }

  get(value: Value, graph: Graph, precision: Precision): Value {
    for (let at: Graph | undefined = graph; at; at = at === value.graph ? undefined : at.parent) {
      const known = this.#known.get(at)?.get(value)?.[precision];
      if (known) return known;
    }
    const made = this.#insert(value, graph, precision);
    const byValue = this.#known.get(graph) ?? new Map<Value, Partial<Record<Precision, Value>>>();
    this.#known.set(graph, byValue);
    byValue.set(value, { ...byValue.get(value), [precision]: made });
    return made;
  }

  #insert(value: Value, graph: Graph, precision: Precision): Value {
    const dtype = precision === 'half' ? this.#format.dtype : 'float32';
    const name = graph.freshName(`${value.name}_${precision === 'half' ? this.#format.suffix : 'fp32'}`);
    const init = {
      name,
      inputs: [value],
      outputs: [name],
      attrs: { to: dtypeCode(dtype) },
      types: [tensorType(dtype, value.shape)],
    };
    const first = graph.firstNode;
    let node: Node;
    if (value.producer?.graph === graph) node = graph.insertAfter(value.producer, 'Cast', init);
    else node = first ? graph.insertBefore(first, 'Cast', init) : graph.append('Cast', init);
    this.made.push(node);
    return node.output();
  }
}
