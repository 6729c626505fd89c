import type { Attr } from '../../src/ir/attr.ts';
import type { Graph, Node, Value } from '../../src/ir/graph.ts';
import { tensorDigest } from '../../src/rewrite/tensor-digest.ts';

/** Numbers values as they are met, so that keys stay short. */
export class ValueIds {
  readonly #ids = new Map<Value, number>();
  of(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(value, id);
    }
    return id;
  }
}

/**
 * A text that two nodes share exactly when they do the same to the same values: operator, inputs, attributes, which
 * outputs exist. Subgraphs take part by structure: their own values count by position, captured ones by identity.
 * @returns undefined when an attribute is of a kind that cannot be compared.
 */
export function nodeKey(node: Node, ids: ValueIds): string | undefined {
  return keyOf(node, (value) => `${ids.of(value)}`, { next: 0 });
}

function keyOf(node: Node, name: (value: Value) => string, counter: { next: number }): string | undefined {
  let key = `${node.domain}|${node.op}|${node.overload}(`;
  for (const value of node.inputs) key += value ? `${name(value)},` : '_,';
  key += ')';
  for (const output of node.outputs) key += output ? '+' : '_';
  if (node.attrs.size === 0) return key;
  for (const attrName of [...node.attrs.keys()].sort()) {
    const attr = node.attrs.get(attrName);
    const text = attr && attrKey(attr, name, counter);
    if (text === undefined) return undefined;
    key += `;${attrName}=${text}`;
  }
  return key;
}

function attrKey(attr: Attr, name: (value: Value) => string, counter: { next: number }): string | undefined {
  switch (attr.type) {
    case 'int':
      return `i${attr.value}`;
    case 'float':
      return `f${floatKey(attr.value)}`;
    case 'string':
      return JSON.stringify(attr.value);
    case 'ints':
      return `is${attr.value.join(',')}`;
    case 'floats':
      return `fs${attr.value.map(floatKey).join(',')}`;
    case 'strings':
      return JSON.stringify(attr.value);
    case 'tensor':
      return `t${tensorDigest(attr.value)}`;
    case 'tensors':
      return `ts${attr.value.map(tensorDigest).join(',')}`;
    case 'ref':
      return `@${attr.value}`;
    case 'graph':
      return graphKey(attr.value, name, counter);
    case 'graphs': {
      const keys = attr.value.map((graph) => graphKey(graph, name, counter));
      return keys.includes(undefined) ? undefined : `[${keys.join('/')}]`;
    }
    case 'opaque':
      return undefined;
  }
}

const floatKey = (value: number): string => (Object.is(value, -0) ? '-0' : String(value));

function graphKey(graph: Graph, outer: (value: Value) => string, counter: { next: number }): string | undefined {
  const own = new Map<Value, string>();
  const define = (value: Value): string => {
    const id = `$${counter.next++}`;
    own.set(value, id);
    return id;
  };
  const name = (value: Value): string => own.get(value) ?? outer(value);
  let key = '{';
  for (const input of graph.inputs) key += `${define(input)} `;
  for (const value of graph.initializers) {
    if (value.initializer) key += `${define(value)}=${tensorDigest(value.initializer)} `;
  }
  for (const node of graph.nodes) {
    const text = keyOf(node, name, counter);
    if (text === undefined) return undefined;
    key += text;
    for (const output of node.outputs) if (output) key += define(output);
    key += ' ';
  }
  return `${key}>${graph.outputs.map(name).join(',')}}`;
}
