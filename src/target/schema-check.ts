/** The part of JSON Schema (draft 2020-12) that the manifest's schema uses. */
export interface Schema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';
  readonly anyOf?: readonly Schema[];
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly minimum?: number;
  readonly minItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeOf(value) === 'object';
}

/** The first place where `value` breaks `schema`, as a sentence without its full stop, or undefined. */
export function schemaProblem(schema: Schema, value: unknown, at: string): string | undefined {
  if (schema.anyOf) {
    const problems = schema.anyOf.map((one) => schemaProblem(one, value, at));
    return problems.includes(undefined) ? undefined : problems.at(-1);
  }
  if (schema.type !== undefined) {
    const actual = typeOf(value);
    const fits = schema.type === 'integer' ? Number.isInteger(value) : actual === schema.type;
    if (!fits) return `${at} must be ${article(schema.type)}, and is ${article(actual)}`;
  }
  if (schema.const !== undefined && value !== schema.const) {
    return `${at} must be ${JSON.stringify(schema.const)}, and is ${JSON.stringify(value)}`;
  }
  if (schema.enum && !schema.enum.includes(value as string)) {
    return `${at} must be one of ${schema.enum.join(', ')}, and is ${JSON.stringify(value)}`;
  }
  if (typeof value === 'string') return stringProblem(schema, value, at);
  if (typeof value === 'number' && schema.minimum !== undefined && !(value >= schema.minimum)) {
    return `${at} must be at least ${schema.minimum}, and is ${value}`;
  }
  if (Array.isArray(value)) return arrayProblem(schema, value, at);
  return isObject(value) ? objectProblem(schema, value, at) : undefined;
}

function article(type: string): string {
  if (type === 'null') return 'null';
  return `${/^[aio]/.test(type) ? 'an' : 'a'} ${type}`;
}

function stringProblem(schema: Schema, value: string, at: string): string | undefined {
  if (schema.minLength !== undefined && value.length < schema.minLength) return `${at} is empty`;
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    return `${at} does not match ${schema.pattern}: ${JSON.stringify(value)}`;
  }
  return undefined;
}

function arrayProblem(schema: Schema, value: readonly unknown[], at: string): string | undefined {
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    return `${at} needs at least ${schema.minItems} entries, and has ${value.length}`;
  }
  if (!schema.items) return undefined;
  for (const [i, item] of value.entries()) {
    const problem = schemaProblem(schema.items, item, `${at}[${i}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function objectProblem(schema: Schema, value: Record<string, unknown>, at: string): string | undefined {
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) return `${at} lacks "${key}"`;
  }
  for (const [key, item] of Object.entries(value)) {
    const known = schema.properties !== undefined && Object.hasOwn(schema.properties, key);
    const inner = known ? schema.properties[key] : schema.additionalProperties;
    if (inner === false) return `${at} has an unknown key "${key}"`;
    if (typeof inner === 'object') {
      const problem = schemaProblem(inner, item, `${at}.${key}`);
      if (problem !== undefined) return problem;
    }
  }
  return undefined;
}
