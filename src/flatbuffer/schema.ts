/** Element types of scalars, as FlatBuffers store them. */
export type Scalar = 'bool' | 'int8' | 'uint8' | 'int16' | 'int32' | 'uint32' | 'int64' | 'float32';

/**
 * Type of a field. `bytes` is a vector of uint8 that begins at a multiple of 16. A struct is a run of scalars of 32 bits.
 * A union takes two slots: which table it is (1, 2, …; 0 for none), and the table.
 */
export type FieldType =
  | Scalar
  | 'string'
  | 'bytes'
  | { readonly table: string }
  | {
      readonly vector:
        | Scalar
        | 'string'
        | { readonly table: string }
        | { readonly struct: readonly ('int32' | 'uint32')[] };
    }
  | { readonly union: readonly string[] };

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** Value of an absent scalar; 0 unless said. */
  readonly default?: number;
}

/** Tables by name: their fields in slot order, undefined where a slot is no longer in use. */
export type Tables = Readonly<Record<string, readonly (Field | undefined)[]>>;

/** A table in memory: fields by name, absent ones left out. A union field holds `{ type, value }` with the table's name. */
export type Table = { [field: string]: FieldValue };

export type FieldValue =
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly number[]
  | readonly bigint[]
  | readonly string[]
  | readonly (readonly number[])[]
  | Table
  | readonly Table[]
  | { readonly type: string; readonly value: Table }
  | undefined;

/** Shorthand: `['name', type]` or `['name', type, default]` for a field, null for a slot out of use. */
export function table(
  ...fields: readonly (readonly [string, FieldType] | readonly [string, FieldType, number] | null)[]
) {
  return fields.map((field) => {
    if (field === null) return undefined;
    const [name, type, fallback] = field;
    return { name, type, ...(fallback !== undefined && { default: fallback }) };
  });
}
