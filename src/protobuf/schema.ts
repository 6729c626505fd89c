/** Kinds of a field: scalars of the wire format, or another message of the table by its name. Enums are int32. */
export type Kind =
  | 'int32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'float'
  | 'double'
  | 'string'
  | 'bytes'
  | { readonly message: string };

/** One value, a list (numbers packed), or a map from strings. */
export type Mode = 'one' | 'many' | 'map';

export interface FieldSpec {
  readonly name: string;
  readonly id: number;
  readonly kind: Kind;
  readonly mode: Mode;
}

/** Messages of a proto3 schema: fields by ascending number. */
export type Messages = Readonly<Record<string, readonly FieldSpec[]>>;

/**
 * A message as plain data: numbers (64-bit ones too, where they are exact), strings, bytes, lists, maps as objects. A field that is undefined is absent; one that is
 * given is written, zeros included, since within a `oneof` that says which one is set.
 */
export type Fields = Readonly<Record<string, unknown>>;

/** A field. `kind` that is no scalar names a message. */
export function field(id: number, name: string, kind: string, mode: Mode = 'one'): FieldSpec {
  return { id, name, mode, kind: scalars.has(kind) ? (kind as Kind) : { message: kind } };
}

/** Fields of one message, by number. */
export function message(...fields: readonly FieldSpec[]): readonly FieldSpec[] {
  return fields.toSorted((a, b) => a.id - b.id);
}

const scalars: ReadonlySet<string> = new Set([
  'int32',
  'int64',
  'uint64',
  'bool',
  'float',
  'double',
  'string',
  'bytes',
]);
