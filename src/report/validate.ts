import type { JsonSchema } from './schema.ts';

/** Where a value breaks the schema, and how: `variants[2].bytes must be a whole number, and is "12"`. */
export interface SchemaProblem {
  /** JavaScript-like path from the root; '' for the root itself. */
  readonly path: string;
  readonly message: string;
}

/** The first problem in document order, or undefined. Understands the keywords of `JsonSchema`, nothing more. */
export function firstProblem(schema: JsonSchema, value: unknown, path = ''): SchemaProblem | undefined {
  const fail = (must: string): SchemaProblem => ({ path, message: `must be ${must}, and is ${show(value)}` });
  const types = schema.type === undefined ? undefined : [schema.type].flat();
  if (types && !types.some((type) => isType(type, value))) return fail(types.map((type) => names[type]).join(' or '));
  if (value === null) return undefined;
  if (schema.const !== undefined && value !== schema.const) return fail(`"${schema.const}"`);
  if (schema.enum && !schema.enum.includes(value as string))
    return fail(schema.enum.map((one) => `"${one}"`).join(' or '));
  if (typeof value === 'number') {
    if (schema.minimum !== undefined && value < schema.minimum) return fail(`at least ${schema.minimum}`);
    if (schema.maximum !== undefined && value > schema.maximum) return fail(`at most ${schema.maximum}`);
  }
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value)) {
    return fail(`text like ${schema.pattern}`);
  }
  if (Array.isArray(value)) return arrayProblem(schema, value, path);
  return typeof value === 'object' ? objectProblem(schema, value as Record<string, unknown>, path) : undefined;
}

function arrayProblem(schema: JsonSchema, value: readonly unknown[], path: string): SchemaProblem | undefined {
  const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, prefixItems = [], items } = schema;
  if (value.length < minItems || value.length > maxItems) {
    return { path, message: `must have ${minItems} items, and has ${value.length}` };
  }
  for (const [index, item] of value.entries()) {
    const own = prefixItems[index] ?? items;
    const problem = own && firstProblem(own, item, `${path}[${index}]`);
    if (problem) return problem;
  }
  return undefined;
}

function objectProblem(
  schema: JsonSchema,
  value: Readonly<Record<string, unknown>>,
  path: string,
): SchemaProblem | undefined {
  for (const key of schema.required ?? []) {
    if (!Object.hasOwn(value, key)) return { path: join(path, key), message: 'is missing' };
  }
  for (const [key, item] of Object.entries(value)) {
    const properties = schema.properties;
    const own = properties && Object.hasOwn(properties, key) ? properties[key] : schema.additionalProperties;
    // A key that is there but undefined is written by nobody: JSON has no such value.
    const problem = own && item !== undefined ? firstProblem(own, item, join(path, key)) : undefined;
    if (problem) return problem;
  }
  return undefined;
}

const names = {
  object: 'an object',
  array: 'a list',
  string: 'text',
  number: 'a finite number',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'null',
} as const;

function isType(type: keyof typeof names, value: unknown): boolean {
  switch (type) {
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    case 'array':
      return Array.isArray(value);
    case 'number':
      return Number.isFinite(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    case 'string':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
  }
}

function join(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
