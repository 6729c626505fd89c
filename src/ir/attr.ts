import type { Graph } from './graph.ts';
import type { Tensor } from './tensor.ts';
import { clampBigInt } from './tensor.ts';

/**
 * Attribute values (AttributeProto). Immutable: to change one, set a new one. `origin` is the codec's: the message an
 * untouched attribute was read from.
 * `ref` stands only inside function bodies: the value comes from the calling node's attribute of that name.
 */
export type Attr = (
  | { readonly type: 'int'; readonly value: bigint }
  | { readonly type: 'float'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'tensor'; readonly value: Tensor }
  | { readonly type: 'graph'; readonly value: Graph }
  | { readonly type: 'ints'; readonly value: readonly bigint[] }
  | { readonly type: 'floats'; readonly value: readonly number[] }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'tensors'; readonly value: readonly Tensor[] }
  | { readonly type: 'graphs'; readonly value: readonly Graph[] }
  | { readonly type: 'ref'; readonly value: string }
  /** Sparse tensors, type protos and whatever this version does not know: carried, not understood. */
  | { readonly type: 'opaque'; readonly value: unknown }
) & { readonly origin?: unknown };

/** Plain JavaScript forms that become attributes: integers → int, use `float()` for floats. */
export type AttrInput =
  | number
  | bigint
  | string
  | boolean
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | Attr;

export const float = (value: number): Attr => ({ type: 'float', value });
export const floats = (value: readonly number[]): Attr => ({ type: 'floats', value });
export const int = (value: number | bigint): Attr => ({ type: 'int', value: BigInt(value) });
export const ints = (value: readonly (number | bigint)[]): Attr => ({ type: 'ints', value: value.map(BigInt) });
export const string = (value: string): Attr => ({ type: 'string', value });
export const strings = (value: readonly string[]): Attr => ({ type: 'strings', value });
export const tensor = (value: Tensor): Attr => ({ type: 'tensor', value });
export const graph = (value: Graph): Attr => ({ type: 'graph', value });

/** Turns a plain value into an attribute. Numbers must be integers: a float is written `float(x)` so that 1.0 stays a float. */
export function toAttr(input: AttrInput): Attr {
  if (typeof input === 'number' || typeof input === 'bigint') return int(input);
  if (typeof input === 'boolean') return int(input ? 1 : 0);
  if (typeof input === 'string') return string(input);
  if (Array.isArray(input)) {
    const list = input as readonly (number | bigint | string)[];
    return typeof list[0] === 'string'
      ? strings(list as readonly string[])
      : ints(list as readonly (number | bigint)[]);
  }
  return input as Attr;
}

/** int64 attribute as a number; saturates beyond 2^53. */
export function intValue(attr: Attr | undefined): number | undefined {
  return attr?.type === 'int' ? clampBigInt(attr.value) : undefined;
}
