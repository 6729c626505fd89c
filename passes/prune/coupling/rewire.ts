import { ints as intsAttr } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector, tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';

/** Gives a node a new integer list where it has one: as attribute, or as an input (whose old constant stays for others). */
export function setList(node: Node, attr: string, index: number, numbers: readonly number[], asInput: boolean): void {
  if (!asInput) {
    node.setAttr(attr, intsAttr(numbers));
    return;
  }
  const old = node.input(index);
  const known = constantOf(old);
  const dtype = (known?.dtype ?? old?.dtype) === 'int32' ? 'int32' : 'int64';
  const shape = known?.shape ?? [numbers.length];
  node.setInput(index, addConstant(node, old?.name ?? attr, tensorOf(dtype, shape, numbers)));
  release(old);
}

/** The same for a list whose length may change. */
export function setVector(node: Node, index: number, numbers: readonly number[]): void {
  const old = node.input(index);
  const dtype = (constantOf(old)?.dtype ?? old?.dtype) === 'int32' ? 'int32' : 'int64';
  node.setInput(index, addConstant(node, old?.name ?? 'indices', tensorOf(dtype, [numbers.length], numbers)));
  release(old);
}

/**
 * Replaces some elements of an int64 vector that a node reads. What is known for sure becomes a constant; else a Where puts
 * the new numbers in at run time and leaves the others as they are computed.
 */
export function overrideItems(node: Node, index: number, length: number, changes: ReadonlyMap<number, number>): void {
  const old = node.input(index);
  if (!old || changes.size === 0) return;
  const known = constantOf(old);
  const view = known?.dtype === 'int64' ? Array.from(new BigInt64Array(known.bytes().slice().buffer)) : undefined;
  if (view) {
    for (const [at, number] of changes) view[at] = BigInt(number);
    node.setInput(index, addConstant(node, old.name, int64Vector(view)));
    release(old);
    return;
  }
  node.setInput(index, patched(node, old, length, changes));
}

/** A vector with some elements replaced, computed in front of `anchor`. */
export function patched(anchor: Node, vector: Value, length: number, changes: ReadonlyMap<number, number>): Value {
  const mask = Uint8Array.from({ length }, (_, at) => (changes.has(at) ? 1 : 0));
  const numbers = Array.from({ length }, (_, at) => changes.get(at) ?? 0);
  const where = anchor.graph.insertBefore(anchor, 'Where', {
    inputs: [
      addConstant(anchor, `${vector.name}_changes`, tensorFrom('bool', [length], mask)),
      addConstant(anchor, `${vector.name}_pruned`, int64Vector(numbers)),
      vector,
    ],
    outputs: [''],
    types: [tensorType('int64', [length])],
  });
  return where.output();
}

/** Lets a constant go that nothing reads any more. */
export function release(value: Value | undefined): void {
  if (!value || value.isUsed) return;
  if (value.producer?.is('Constant')) value.graph.remove(value.producer);
  else if (value.initializer && !value.producer) {
    if (value.isGraphInput) value.graph.removeInput(value);
    value.graph.removeInitializer(value);
  }
}
