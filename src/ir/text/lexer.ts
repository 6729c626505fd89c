import { UserError } from '../../errors.ts';
import { textOf, unquote } from './scalar.ts';

/** name: bare identifier, `inf` and `nan` among them · string: its value is in `bytes` · dim: see `dim()` · end: end of the text. */
export interface Token {
  readonly kind: 'name' | 'int' | 'float' | 'string' | 'mark' | 'end';
  readonly text: string;
  readonly at: number;
}

const blank = /(?:\s+|#[^\n]*)*/y;
const word = /[A-Za-z_%/][\w/%.]*/y;
const number = /[-+]?(?:inf(?:inity)?\b|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/y;
const text = /"(?:[^"\\]|\\[\s\S])*"/y;
const mark = /=>|\.\.\.|[()[\]{}<>,:=@.?]/y;

/** Tokens of the text form, one ahead. Errors carry line and column. */
export class Lexer {
  readonly #source: string;
  #token: Token;

  constructor(source: string) {
    this.#source = source;
    this.#token = this.#scan(0);
  }

  get token(): Token {
    return this.#token;
  }
  next(): Token {
    const token = this.#token;
    this.#token = this.#scan(token.at + token.text.length);
    return token;
  }
  is(expected: string): boolean {
    return (this.#token.kind === 'mark' || this.#token.kind === 'name') && this.#token.text === expected;
  }
  /** The token after the present one. */
  peek(): Token {
    return this.#scan(this.#token.at + this.#token.text.length);
  }
  take(expected: string): boolean {
    if (!this.is(expected)) return false;
    this.next();
    return true;
  }
  expect(expected: string): void {
    if (!this.take(expected)) this.fail(`expected "${expected}" instead of ${describe(this.#token)}`);
  }
  /** A bare or quoted name. */
  name(what: string): string {
    if (this.#token.kind === 'string') return this.string(what);
    if (this.#token.kind !== 'name') this.fail(`expected ${what} instead of ${describe(this.#token)}`);
    return this.next().text;
  }
  string(what: string): string {
    return textOf(this.bytes(what));
  }
  bytes(what: string): Uint8Array {
    if (this.#token.kind !== 'string') this.fail(`expected ${what} in quotes instead of ${describe(this.#token)}`);
    const { text: quoted, at } = this.next();
    return unquote(quoted.slice(1, -1), (offset) => this.fail(`unknown escape in a string`, at + 1 + offset));
  }
  integer(what: string): bigint {
    if (this.#token.kind !== 'int') this.fail(`expected ${what} instead of ${describe(this.#token)}`);
    return BigInt(this.next().text.replace(/^\+/, ''));
  }
  /** A dimension: everything up to the next comma or bracket outside parentheses. The present token is its first. */
  dim(): { readonly text: string; readonly quoted: boolean } {
    if (this.#token.kind === 'string') return { text: this.string('a dimension'), quoted: true };
    const start = this.#token.at;
    let depth = 0;
    let end = start;
    for (; end < this.#source.length; end++) {
      const char = this.#source[end];
      if (char === '(') depth++;
      else if (char === ')') depth--;
      else if (depth <= 0 && (char === ',' || char === ']')) break;
      if (depth < 0 || char === '\n') this.fail('this dimension has no end', start);
    }
    const dim = this.#source.slice(start, end).trimEnd();
    if (dim === '') this.fail('expected a dimension');
    this.#token = this.#scan(end);
    return { text: dim, quoted: false };
  }

  /** @throws UserError `text-syntax` with line and column of `at` (default: the present token). */
  fail(problem: string, at = this.#token.at): never {
    const before = this.#source.slice(0, at);
    const line = before.split('\n').length;
    const column = at - before.lastIndexOf('\n');
    throw new UserError('text-syntax', `Model text, line ${line}:${column}: ${problem}.`);
  }

  #scan(from: number): Token {
    blank.lastIndex = from;
    blank.exec(this.#source);
    const at = blank.lastIndex;
    if (at >= this.#source.length) return { kind: 'end', text: '', at };
    const numeric = this.#match(number, at);
    if (numeric !== undefined && !/^[A-Za-z_]/.test(numeric)) {
      return { kind: /^[-+]?\d+$/.test(numeric) ? 'int' : 'float', text: numeric, at };
    }
    const bare = this.#match(word, at);
    if (bare !== undefined) return { kind: 'name', text: bare, at };
    const quoted = this.#match(text, at);
    if (quoted !== undefined) return { kind: 'string', text: quoted, at };
    const sign = this.#match(mark, at);
    if (sign !== undefined) return { kind: 'mark', text: sign, at };
    return this.fail(this.#source[at] === '"' ? 'this string has no end' : `unexpected "${this.#source[at]}"`, at);
  }
  #match(pattern: RegExp, at: number): string | undefined {
    pattern.lastIndex = at;
    return pattern.exec(this.#source)?.[0];
  }
}

export function describe(token: Token): string {
  return token.kind === 'end'
    ? 'the end of the text'
    : `"${token.text.length > 40 ? `${token.text.slice(0, 40)}…` : token.text}"`;
}
