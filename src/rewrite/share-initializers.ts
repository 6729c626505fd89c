import type { Graph, Model, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Trace } from './driver.ts';
import { takesScales } from './half-scales.ts';
import { tensorDigest, tensorHead } from './tensor-digest.ts';

const silent: Trace = { applied() {}, skipped() {} };

/** Equal constants of two branches, neither of which sees the other's, move to the main graph from this size on. */
const worthMoving = 1024;

/**
 * One copy of every constant: initializers of equal type, shape and bits become one, in each graph, from subgraphs to
 * the graphs around them, and across branches. Tied weights come out tied. Tensors are read only where another one has
 * the same type and shape, and read whole only where the first bytes agree. Left alone are scales that ONNX Runtime needs once for each node
 * (`half-scales.ts`).
 * @param among which constants are looked at; default all.
 * @returns whether anything changed.
 */
export function shareInitializers(
  model: Model,
  trace: Trace = silent,
  among: (tensor: Tensor) => boolean = () => true,
): boolean {
  const run = new Sharing(model, trace, among);
  run.visit(model.graph, []);
  return run.changed;
}

type Pool = Map<string, Value>;

class Sharing {
  changed = false;
  readonly #trace: Trace;
  readonly #among: (tensor: Tensor) => boolean;
  readonly #root: Graph;
  readonly #rootPool: Pool = new Map();
  /** The first of each kind, wherever it stands. */
  readonly #first: Pool = new Map();
  readonly #forms = new Map<string, number>();
  readonly #heads = new Map<string, number>();

  constructor(model: Model, trace: Trace, among: (tensor: Tensor) => boolean) {
    this.#trace = trace;
    this.#among = among;
    this.#root = model.graph;
    const tensors: Tensor[] = [];
    for (const graph of model.graphs()) {
      for (const { constant } of graph.initializers) if (constant && among(constant)) tensors.push(constant);
    }
    for (const tensor of tensors) count(this.#forms, form(tensor));
    for (const tensor of tensors) if (this.#forms.get(form(tensor)) !== 1) count(this.#heads, tensorHead(tensor));
  }

  visit(graph: Graph, outer: readonly Pool[]): void {
    const own: Pool = graph === this.#root ? this.#rootPool : new Map();
    const visible = [...outer, own];
    for (const value of graph.initializers) {
      const tensor = value.constant;
      if (!tensor || value.isGraphInput || !this.#among(tensor) || !this.#mayHaveTwin(tensor)) continue;
      if (tensor.dtype === 'float16' && value.consumers.some((node) => takesScales(node, value))) continue;
      const digest = tensorDigest(tensor);
      const twin = find(visible, digest) ?? this.#moveOut(this.#first.get(digest), digest, tensor);
      if (!twin) {
        own.set(digest, value);
        if (!this.#first.has(digest)) this.#first.set(digest, value);
      } else if (value.isGraphOutput) {
        const why = `it equals "${twin.name}", but is a graph output under its own name`;
        this.#trace.skipped('tied-initializer', value.name, why);
      } else this.#replace(value, twin);
    }
    for (const node of graph.nodes) for (const subgraph of node.subgraphs) this.visit(subgraph, visible);
  }

  #mayHaveTwin(tensor: Tensor): boolean {
    return this.#forms.get(form(tensor)) !== 1 && this.#heads.get(tensorHead(tensor)) !== 1;
  }

  /** A constant that only another branch sees moves to the main graph, where every branch sees it. */
  #moveOut(value: Value | undefined, digest: string, tensor: Tensor): Value | undefined {
    if (!value || value.isGraphOutput || tensor.byteLength < worthMoving) return undefined;
    const moved = this.#root.addInitializer(value.name, tensor);
    this.#replace(value, moved);
    this.#rootPool.set(digest, moved);
    return moved;
  }

  #replace(value: Value, twin: Value): void {
    this.#trace.applied('tied-initializer', value.name, twin.name);
    value.graph.replaceUses(value, twin);
    value.graph.removeInitializer(value);
    this.changed = true;
  }
}

const form = (tensor: Tensor): string => `${tensor.dtype}[${tensor.shape.join(',')}]`;

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function find(pools: readonly Pool[], digest: string): Value | undefined {
  for (const pool of pools) {
    const twin = pool.get(digest);
    if (twin) return twin;
  }
  return undefined;
}
