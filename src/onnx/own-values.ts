import { bug } from '../errors.ts';
import type { Graph, Value } from '../ir/graph.ts';
import { isMessage } from './message.ts';
import { tensorOrigin } from './tensor.ts';
import { valueOrigin } from './value-info.ts';

/** The values defined in one graph, by the names they have and by the names they had in the file. */
export class OwnValues {
  readonly #byName = new Map<string, Value>();
  readonly #graph: Graph;
  #byFormerName: Map<string, Value> | undefined;

  /** @throws BugError when two values share a name or one has none: such a file would mean something else */
  constructor(graph: Graph) {
    this.#graph = graph;
    for (const value of graph.inputs) this.#add(value);
    for (const value of graph.initializers) this.#add(value);
    for (const node of graph.nodes) for (const value of node.outputs) if (value) this.#add(value);
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.#byName.values();
  }
  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** The value that the file called `name`, whatever it is called now. */
  former(name: string | undefined): Value | undefined {
    this.#byFormerName ??= this.#formerNames();
    return this.#byFormerName.get(name ?? '');
  }

  #add(value: Value): void {
    const other = this.#byName.get(value.name);
    if (value.name === '') bug(`graph "${this.#graph.name}" has a value without a name`);
    if (other && other !== value) bug(`graph "${this.#graph.name}" has two values named "${value.name}"`);
    this.#byName.set(value.name, value);
  }

  #formerNames(): Map<string, Value> {
    const former = new Map<string, Value>();
    for (const value of this) {
      const name = formerName(value);
      // A value that took over another's name and declaration stands before the one that lost it.
      if (name !== undefined && (value.name === name || !former.has(name))) former.set(name, value);
    }
    return former;
  }
}

function formerName(value: Value): string | undefined {
  const info = valueOrigin(value)?.info;
  if (info) return info.name;
  if (value.initializer) {
    const message = tensorOrigin(value.initializer)?.message;
    return message?.$name === 'SparseTensorProto' ? message.values?.name : message?.name;
  }
  const made = value.producer?.origin;
  return isMessage(made, 'NodeProto') ? made.output?.[value.outputIndex] : undefined;
}
