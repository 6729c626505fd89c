import type { DType } from './dtype.ts';

/**
 * One dimension of a shape: a fixed extent, a symbolic expression in canonical text (`batch`, `2*seq+1`; see dim.ts),
 * or undefined where nothing is known.
 */
export type Dim = number | string | undefined;
export type Shape = readonly Dim[];

/** Type of a value (TypeProto). `opaque` carries an encoded TypeProto that this version does not understand. */
export type ValueType =
  | { readonly kind: 'tensor' | 'sparse_tensor'; readonly dtype: DType; readonly shape?: Shape }
  | { readonly kind: 'sequence' | 'optional'; readonly element: ValueType }
  | { readonly kind: 'map'; readonly key: DType; readonly value: ValueType }
  | { readonly kind: 'opaque'; readonly bytes: Uint8Array };

export function tensorType(dtype: DType, shape?: Shape): ValueType {
  return shape === undefined ? { kind: 'tensor', dtype } : { kind: 'tensor', dtype, shape };
}

/** The shape as numbers, when every dimension is fixed. */
export function staticShape(shape: Shape | undefined): number[] | undefined {
  if (shape === undefined) return undefined;
  const fixed: number[] = [];
  for (const dim of shape) {
    if (typeof dim !== 'number') return undefined;
    fixed.push(dim);
  }
  return fixed;
}
