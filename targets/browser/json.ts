export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text of a JSON file. */
export function print(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
