import { UserError } from '../../errors.ts';
import { textOf, unquote } from './scalar.ts';

/** name: bare identifier, `inf` and `nan` among them · string: its value is in `bytes` · dim: see `dim()` · end: end of the text. */
export interface Token {
  readonly kind: 'name' | 'int' | 'float' | 'string' | 'mark' | 'end';
  readonly text: string;
  readonly at: number;
}

const blank = /\s/;
const word = /[A-Za-z_%/][\w/%.]*/y;
const number = /[-+]?(?:inf(?:inity)?\b|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/y;
const mark = /=>|\.\.\.|[()[\]{}<>,:=@.?]/y;

/** Types in types, graphs in graphs: more than this is no model, and would at some depth end the stack. */
const deepest = 200;
/** Digits that a 64-bit integer may have, zeros in front included. */
const mostDigits = 40;

/** Tokens of the text form, one ahead. Errors carry line and column. */
export class Lexer {
  readonly #source: string;
  #depth = 0;
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
    const { text: digits, at } = this.next();
    const value = digits.length <= mostDigits ? BigInt(digits.replace(/^\+/, '')) : undefined;
    if (value === undefined || value !== BigInt.asIntN(64, value)) this.fail(`${what} has 64 bits at most`, at);
    return value;
  }
  /** What `read` reads stands inside of something like it. */
  nested<T>(read: () => T): T {
    if (this.#depth >= deepest) this.fail(`what stands here is nested more than ${deepest} deep`);
    this.#depth++;
    const value = read();
    this.#depth--;
    return value;
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
    const at = this.#skip(from);
    if (at >= this.#source.length) return { kind: 'end', text: '', at };
    if (this.#source[at] === '"') return { kind: 'string', text: this.#source.slice(at, this.#closing(at) + 1), at };
    const numeric = this.#match(number, at);
    if (numeric !== undefined && !/^[A-Za-z_]/.test(numeric)) {
      return { kind: /^[-+]?\d+$/.test(numeric) ? 'int' : 'float', text: numeric, at };
    }
    const bare = this.#match(word, at);
    if (bare !== undefined) return { kind: 'name', text: bare, at };
    const sign = this.#match(mark, at);
    if (sign !== undefined) return { kind: 'mark', text: sign, at };
    return this.fail(`unexpected "${this.#source[at]}"`, at);
  }
  /** Past white space and comments. A loop, as in strings: a pattern keeps each step of a long one to go back to, and runs out of stack. */
  #skip(from: number): number {
    let at = from;
    for (; at < this.#source.length; at++) {
      const char = this.#source[at] as string;
      if (char === '#') {
        const end = this.#source.indexOf('\n', at);
        at = end < 0 ? this.#source.length : end;
      } else if (!blank.test(char)) break;
    }
    return at;
  }
  /** Place of the quote that ends the string at `at`. */
  #closing(at: number): number {
    for (let end = at + 1; end < this.#source.length; end++) {
      const code = this.#source.charCodeAt(end);
      if (code === 0x5c) end++;
      else if (code === 0x22) return end;
    }
    return this.fail('this string has no end', at);
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
