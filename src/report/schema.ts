/**
 * Shapes: one declaration gives the JSON Schema (draft 2020-12, the part of it that reports need) and the TypeScript
 * type, so the two cannot drift apart.
 */

type JsonType = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';

export interface JsonSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: JsonType | readonly JsonType[];
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
  readonly items?: JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema;
}

/** A JSON Schema that remembers the type of what it accepts. `is` exists for the compiler only. */
export interface Shape<T> {
  readonly json: JsonSchema;
  readonly is?: T;
}
interface OptionalShape<T> extends Shape<T> {
  readonly optional: true;
}

export type TypeOf<S> = S extends Shape<infer T> ? T : never;

type Shapes = Readonly<Record<string, Shape<unknown>>>;
type OptionalKeys<P> = { [K in keyof P]: P[K] extends OptionalShape<unknown> ? K : never }[keyof P];
type ObjectOf<P> = { readonly [K in Exclude<keyof P, OptionalKeys<P>>]: TypeOf<P[K]> } & {
  readonly [K in OptionalKeys<P>]?: TypeOf<P[K]>;
};

const shape = <T>(json: JsonSchema): Shape<T> => ({ json });

export const string = (description: string, pattern?: string): Shape<string> =>
  shape({ description, type: 'string', ...(pattern !== undefined && { pattern }) });
export const boolean = (description: string): Shape<boolean> => shape({ description, type: 'boolean' });
export const anything = (description: string): Shape<unknown> => shape({ description });
export const number = (description: string, limits: { minimum?: number; maximum?: number } = {}): Shape<number> =>
  shape({ description, type: 'number', ...limits });
export const integerOrString = (description: string): Shape<number | string> =>
  shape({ description, type: ['integer', 'string'] });
/** A whole number from 0 on. */
export const count = (description: string): Shape<number> => shape({ description, type: 'integer', minimum: 0 });

export const literal = <const T extends string>(description: string, value: T): Shape<T> =>
  shape({ description, type: 'string', const: value });
export const oneOf = <const T extends string>(description: string, values: readonly T[]): Shape<T> =>
  shape({ description, type: 'string', enum: values });

export const array = <T>(description: string, items: Shape<T>): Shape<readonly T[]> =>
  shape({ description, type: 'array', items: items.json });
export const pair = <T>(description: string, item: Shape<T>): Shape<readonly [T, T]> =>
  shape({ description, type: 'array', prefixItems: [item.json, item.json], minItems: 2, maxItems: 2 });
export const record = <T>(description: string, values: Shape<T>): Shape<Readonly<Record<string, T>>> =>
  shape({ description, type: 'object', additionalProperties: values.json });

/** Keys that are not named are allowed: a later minor version may add some. */
export function object<const P extends Shapes>(description: string, properties: P): Shape<ObjectOf<P>> {
  const entries = Object.entries(properties);
  return shape({
    description,
    type: 'object',
    properties: Object.fromEntries(entries.map(([key, value]) => [key, value.json])),
    required: entries.filter(([, value]) => !('optional' in value)).map(([key]) => key),
  });
}

/** The same, or null. */
export function nullable<T>({ json }: Shape<T>): Shape<T | null> {
  const types = json.type === undefined ? [] : [json.type].flat();
  return shape({ ...json, type: [...types, 'null'] });
}

/** A key that may be missing. */
export const optional = <T>({ json }: Shape<T>): OptionalShape<T> => ({ json, optional: true });
