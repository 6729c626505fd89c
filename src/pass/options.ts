import type { DropLimit } from '../drop-limit.ts';

/**
 * Option tables: each option is declared once, and from it come the TypeScript type, the flag, its help, the JSON
 * schema and the row in the docs.
 */

interface Base<T> {
  readonly help: string;
  readonly default: T;
}

export type OptionSpec =
  | ({ readonly type: 'boolean' } & Base<boolean>)
  | ({ readonly type: 'int'; readonly min?: number; readonly max?: number } & Base<number>)
  | ({ readonly type: 'number'; readonly min?: number; readonly max?: number } & Base<number>)
  /** What a metric may lose: a number, or a share of base such as `1%`. */
  | ({ readonly type: 'drop' } & Base<DropLimit>)
  | ({ readonly type: 'string' } & Base<string>)
  | ({ readonly type: 'choice'; readonly choices: readonly (string | number)[] } & Base<string | number>)
  /** A list of strings; on the command line repeatable and comma-separated. */
  | ({ readonly type: 'list' } & Base<readonly string[]>);

export type OptionTable = Readonly<Record<string, OptionSpec>>;

type Widen<S> = S extends { type: 'boolean' }
  ? boolean
  : S extends { type: 'int' | 'number' }
    ? number
    : S extends { type: 'drop' }
      ? DropLimit
      : S extends { type: 'choice'; choices: readonly (infer C)[] }
        ? C
        : S extends { type: 'list' }
          ? readonly string[]
          : string;

/** The values of a table: `{ bits: 4, block: 32 }`. */
export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: Widen<T[K]> };

interface Range {
  readonly min?: number;
  readonly max?: number;
}

export const opt = {
  boolean: (value: boolean, help: string) => ({ type: 'boolean', default: value, help }) as const,
  int: (value: number, help: string, range?: Range) => ({ type: 'int', default: value, help, ...range }) as const,
  number: (value: number, help: string, range?: Range) => ({ type: 'number', default: value, help, ...range }) as const,
  drop: (value: DropLimit, help: string) => ({ type: 'drop', default: value, help }) as const,
  string: (value: string, help: string) => ({ type: 'string', default: value, help }) as const,
  choice: <const C extends string | number>(choices: readonly C[], value: NoInfer<C>, help: string) =>
    ({ type: 'choice', choices, default: value, help }) as const,
  list: (value: readonly string[], help: string) => ({ type: 'list', default: value, help }) as const,
};
