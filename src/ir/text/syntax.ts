import type { Attr } from '../attr.ts';
import type { Tensor } from '../tensor.ts';
import type { ValueType } from '../types.ts';

/** What the text says, before names are looked up. `at`: offset in the text, for messages. */
export interface Notes {
  readonly doc?: string;
  readonly meta?: ReadonlyMap<string, string>;
}
export interface ValueSyntax extends Notes {
  readonly name: string;
  readonly type?: ValueType;
  readonly at: number;
}
export interface InitializerSyntax extends ValueSyntax {
  /** Absent: the entry only states a type (ONNX's value_info list). */
  readonly tensor?: Tensor;
}
export type AttrSyntax =
  | Attr
  | { readonly type: 'graph-syntax'; readonly graphs: readonly GraphSyntax[]; readonly list: boolean };
export interface NodeSyntax extends Notes {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly (ValueSyntax | undefined)[];
  readonly outputs: readonly (ValueSyntax | undefined)[];
  readonly attrs: ReadonlyMap<string, AttrSyntax>;
}
export interface GraphSyntax extends Notes {
  readonly name: string;
  readonly inputs: readonly ValueSyntax[];
  readonly outputs: readonly ValueSyntax[];
  readonly initializers: readonly InitializerSyntax[];
  readonly nodes: readonly NodeSyntax[];
}
/** `key: value` pairs in front of a model or function. */
export interface HeaderSyntax {
  readonly integers: ReadonlyMap<string, bigint>;
  readonly strings: ReadonlyMap<string, string>;
  readonly opsets?: ReadonlyMap<string, number>;
  readonly meta: ReadonlyMap<string, string>;
}
export interface FunctionSyntax {
  readonly header: HeaderSyntax;
  readonly parameters: readonly string[];
  readonly defaults: ReadonlyMap<string, AttrSyntax>;
  readonly body: GraphSyntax;
}
