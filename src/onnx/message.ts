import type { Field, MessageName, ScalarTypes, Schema } from './schema.ts';

/**
 * Messages as read: plain fields by their ONNX name, plus what is needed to give back exactly what came in. A message
 * is never changed after reading; `merge` makes a new one. So a message that still knows its place in the source can be
 * written back as the bytes it was, however they were encoded.
 */
export class RawMessage {
  readonly $name: MessageName;
  /** The bytes it was read from: `$source[$start, $end)`, undefined when it was made or put together from several places. */
  $source: Uint8Array | undefined = undefined;
  $start = 0;
  $end = 0;
  /** Fields the schema does not know, as encoded (tags included), in the order read. */
  $unknown: Uint8Array[] | undefined = undefined;
  constructor(name: MessageName) {
    this.$name = name;
  }
}

type Item<K extends string> = K extends keyof ScalarTypes ? ScalarTypes[K] : K extends MessageName ? Message<K> : never;
type FieldValue<F> = F extends Field<infer K, infer R> ? (R extends true ? readonly Item<K>[] : Item<K>) : never;

export type Fields<N extends MessageName> = {
  -readonly [F in keyof Schema[N]]?: FieldValue<Schema[N][F]> | undefined;
};
export type Message<N extends MessageName> = RawMessage & { readonly $name: N } & Readonly<Fields<N>>;

/** A new message. Fields that are undefined or empty lists are left out. */
export function message<N extends MessageName>(name: N, fields: Fields<N>): Message<N> {
  const made = new RawMessage(name) as Message<N> & Record<string, unknown>;
  assign(made, fields);
  return made;
}

export function isMessage<N extends MessageName>(value: unknown, name: N): value is Message<N> {
  return value instanceof RawMessage && value.$name === name;
}

/**
 * `origin` with these fields instead. Fields that are not given, unknown fields included, stay; undefined removes. When
 * nothing differs the origin itself comes back, and with it its bytes: this is how "untouched" is decided, from the
 * leaves up. An absent field and one that holds its default ('' , 0, no elements) are the same.
 */
export function merge<N extends MessageName>(name: N, origin: Message<N> | undefined, fields: Fields<N>): Message<N> {
  if (!origin) return message(name, fields);
  const old = origin as unknown as Record<string, unknown>;
  const changes: Record<string, unknown> = {};
  let changed = false;
  for (const [key, value] of Object.entries(fields)) {
    if (same(old[key], value)) continue;
    changes[key] = value;
    changed = true;
  }
  if (!changed) return origin;
  const next = Object.assign(new RawMessage(name), origin) as Message<N> & Record<string, unknown>;
  next.$source = undefined;
  assign(next, changes);
  return next;
}

function assign(target: Record<string, unknown>, fields: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(fields)) {
    if (value !== undefined && !(Array.isArray(value) && value.length === 0)) target[key] = value;
    else if (target[key] !== undefined) delete target[key];
  }
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (isDefault(a)) return isDefault(b);
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (a instanceof Uint8Array && b instanceof Uint8Array) return sameBytes(a, b);
  return false;
}

function isDefault(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === 0n) return true;
  if (Array.isArray(value)) return value.length === 0;
  return value instanceof Uint8Array && value.length === 0;
}

/** Equal content; a look at the same memory is enough for large data. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  if (a.buffer === b.buffer && a.byteOffset === b.byteOffset) return true;
  return a.byteLength <= 4096 && Buffer.compare(a, b) === 0;
}
