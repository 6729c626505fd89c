import { constantOf } from './constant.ts';
import type { Node, Value } from './graph.ts';

/** What hands on its first input: rearranged, picked from, or in another type. */
const handsOn: ReadonlySet<string> = new Set([
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Cast',
  'Gather',
  'GatherND',
  'DequantizeLinear',
]);

/** Steps that are looked back: experts are picked, turned and widened before anything multiplies with them. */
const mostSteps = 4;

/** Bytes of the constants that a node reads, itself or through a few steps that rearrange them. What costs nothing to ask of any node. */
export function weightBytesBehind(node: Node): number {
  let bytes = 0;
  for (const input of new Set(node.inputs)) bytes += bytesOf(input, mostSteps);
  return bytes;
}

function bytesOf(value: Value | undefined, steps: number): number {
  const own = constantOf(value);
  if (own) return own.byteLength;
  const by = value?.producer;
  return by && steps > 0 && handsOn.has(by.op) ? bytesOf(by.input(0), steps - 1) : 0;
}
