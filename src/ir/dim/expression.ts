import { addPoly, asAtom, asNumber, atom, atomsOf, constant, dividePoly, mulPoly, type Poly, terms } from './poly.ts';

/** What a symbol stands for; undefined: itself. */
export type Resolve = (symbol: string) => number | string | undefined;

const maxText = 400;
const plainSymbol = /^[A-Za-z_][\w.:]*(?:-[A-Za-z_][\w.:]*)*$/;

/**
 * Reads dimension text: sums and products of integers and symbols, `floor(a/b)`, `a//b`, `ceil(a/b)`, `min(…)`,
 * `max(…)`, also as SymPy spells them (`Max`, `ceiling`, `x**2`). A dash between two names without blanks belongs to
 * the name (`batch-size`). Text that is no expression is one opaque symbol.
 * @returns undefined where the value is no longer worth an expression.
 */
export function parsePoly(text: string, resolve: Resolve = () => undefined): Poly | undefined {
  if (plainSymbol.test(text)) return symbol(text, resolve);
  const reader = new Reader(text, resolve);
  const result = reader.whole();
  if (result === 'overflow') return undefined;
  return result ?? opaque(text, resolve);
}

function symbol(name: string, resolve: Resolve): Poly | undefined {
  const value = resolve(name);
  if (value === undefined) return atom(name);
  return typeof value === 'number' ? constant(value) : parsePoly(value);
}

function opaque(text: string, resolve: Resolve): Poly | undefined {
  const value = resolve(text);
  if (value !== undefined) return typeof value === 'number' ? constant(value) : parsePoly(value);
  return text.includes("'") || text.includes('\0') ? undefined : atom(`'${text}'`);
}

/** Canonical text; a plain number where it is one; undefined when it grew too long. */
export function formatPoly(poly: Poly): number | string | undefined {
  const number = asNumber(poly);
  if (number !== undefined) return number;
  const single = asAtom(poly);
  if (single?.startsWith("'")) return single.slice(1, -1);
  let text = '';
  for (const [key, coefficient] of sortedForText(poly)) {
    const atoms = atomsOf(key);
    const size = Math.abs(coefficient);
    const factors = size === 1 && atoms.length > 0 ? atoms : [String(size), ...atoms];
    const body = factors.join('*');
    if (text === '') text = coefficient < 0 ? `-${body}` : body;
    // `a-b` is a name, so a difference of names is written with blanks.
    else text += coefficient < 0 ? (/^\d/.test(body) ? `-${body}` : ` - ${body}`) : `+${body}`;
  }
  return text.length > maxText ? undefined : text;
}

/** Positive terms first, so that no text begins with a minus sign unless it must. */
function sortedForText(poly: Poly): [string, number][] {
  const sorted = terms(poly);
  return [...sorted.filter(([, c]) => c > 0), ...sorted.filter(([, c]) => c < 0)].sort(
    ([a], [b]) => Number(a === '') - Number(b === ''),
  );
}

/**
 * floor(a / b), simplified: multiples of `b` come out, common factors cancel, and floors of floors become one.
 * The value is that of the mathematical floor for b > 0.
 */
export function floorDivPoly(a: Poly, b: Poly): Poly | undefined {
  const exact = dividePoly(a, b);
  if (exact) return exact;
  const divisor = asNumber(b);
  if (divisor === undefined || divisor <= 0) return floorAtom(a, b);
  const number = asNumber(a);
  if (number !== undefined) return constant(Math.floor(number / divisor));
  const whole = new Map<string, number>();
  const rest = new Map<string, number>();
  for (const [key, coefficient] of a) {
    const quotient = Math.floor(coefficient / divisor);
    const remainder = coefficient - quotient * divisor;
    if (quotient !== 0) whole.set(key, quotient);
    if (remainder !== 0) rest.set(key, remainder);
  }
  const part = floorOfRest(rest, divisor);
  return part && addPoly(whole, part);
}

/** floor(rest / divisor), every coefficient of `rest` in 1 … divisor − 1. */
function floorOfRest(rest: Map<string, number>, divisor: number): Poly | undefined {
  const offset = rest.get('') ?? 0;
  const varying = new Map(rest);
  varying.delete('');
  if (varying.size === 0) return constant(0);
  let common = divisor;
  for (const coefficient of varying.values()) common = gcd(common, coefficient);
  if (common > 1) {
    const smaller = new Map<string, number>([...varying].map(([key, c]) => [key, c / common]));
    const shifted = addPoly(smaller, constant(Math.floor(offset / common)));
    return shifted && floorDivPoly(shifted, constant(divisor / common));
  }
  // floor((floor(p/m) + c) / n) = floor((p + c·m) / (m·n))
  const inner = asAtom(varying);
  const nested = inner?.startsWith('floor(') ? new Reader(inner, () => undefined).floorParts() : undefined;
  const innerDivisor = nested && asNumber(nested.den);
  if (nested && innerDivisor !== undefined) {
    const shifted = addPoly(nested.num, constant(offset * innerDivisor));
    return shifted && floorDivPoly(shifted, constant(innerDivisor * divisor));
  }
  return floorAtom(rest, constant(divisor));
}

function floorAtom(a: Poly, b: Poly): Poly | undefined {
  const top = formatPoly(a);
  const bottom = formatPoly(b);
  if (top === undefined || bottom === undefined) return undefined;
  const text = `floor(${wrap(top, a)}/${wrap(bottom, b, true)})`;
  return text.length > maxText ? undefined : atom(text);
}

function wrap(text: number | string, poly: Poly, isDivisor = false): string {
  const [key] = poly.keys();
  if (asAtom(poly)?.startsWith("'")) return asAtom(poly) as string;
  const product = isDivisor && atomsOf(key ?? '').length > 0 && asAtom(poly) === undefined;
  return poly.size > 1 || product ? `(${text})` : String(text);
}

/** min or max of two; numbers are compared, equal ones are one, nested calls of the same kind are one call. */
export function extremePoly(kind: 'min' | 'max', a: Poly, b: Poly): Poly | undefined {
  const difference = addPoly(a, b, -1);
  if (!difference) return undefined;
  if (isNonNegative(difference)) return kind === 'max' ? a : b;
  const negated = addPoly(new Map(), difference, -1);
  if (negated && isNonNegative(negated)) return kind === 'max' ? b : a;
  const parts = new Set<string>();
  for (const poly of [a, b]) {
    const nested = asAtom(poly);
    const args = nested?.startsWith(`${kind}(`) ? new Reader(nested, () => undefined).callArguments() : [poly];
    for (const arg of args) {
      const text = formatPoly(arg);
      if (text === undefined) return undefined;
      parts.add(asAtom(arg)?.startsWith("'") ? (asAtom(arg) as string) : String(text));
    }
  }
  const text = `${kind}(${[...parts].sort().join(',')})`;
  return text.length > maxText ? undefined : atom(text);
}

/** Certainly ≥ 0 when every symbol is. `x − floor(x/2)` and `x − min(x, y)` are seen, not more. */
export function isNonNegative(poly: Poly): boolean {
  return lowerBound(poly, 3) >= 0;
}

/** The least value a polynomial can take as far as this can tell; −Infinity when it tells nothing. Symbols are ≥ 0. */
export function lowerBound(poly: Poly, depth = 2): number {
  let bound = 0;
  for (const [key, coefficient] of poly) {
    if (key === '') bound += coefficient;
    else if (coefficient < 0)
      return depth > 0 ? boundByReplacing(poly, key, coefficient, depth) : Number.NEGATIVE_INFINITY;
    else {
      const factors = atomsOf(key).map((text) => atomBound(text, depth));
      // A product of things that may be negative can be anything.
      if (factors.length > 1 && factors.some((factor) => factor < 0)) return Number.NEGATIVE_INFINITY;
      bound += coefficient * factors.reduce((a, b) => (a === 0 || b === 0 ? 0 : a * b), 1);
    }
  }
  return bound;
}

function atomBound(text: string, depth: number): number {
  const isFloor = text.startsWith('floor(');
  if (!isFloor && !/^(min|max)\(/.test(text)) return 0;
  if (depth <= 0) return Number.NEGATIVE_INFINITY;
  const reader = new Reader(text, () => undefined);
  if (isFloor) {
    const parts = reader.floorParts();
    const divisor = parts && asNumber(parts.den);
    if (!parts || divisor === undefined || divisor <= 0) return Number.NEGATIVE_INFINITY;
    return Math.floor(lowerBound(parts.num, depth - 1) / divisor);
  }
  const bounds = reader.callArguments().map((arg) => lowerBound(arg, depth - 1));
  return text.startsWith('max(') ? Math.max(...bounds) : Math.min(...bounds);
}

/** Replaces a subtracted floor(p/n) by p/n, or a subtracted min(…) by one of its parts: both only make the value smaller. */
function boundByReplacing(poly: Poly, key: string, coefficient: number, depth: number): number {
  const without = new Map(poly);
  without.delete(key);
  let best = Number.NEGATIVE_INFINITY;
  if (key.startsWith('floor(') && !key.includes('\0')) {
    const parts = new Reader(key, () => undefined).floorParts();
    const divisor = parts && asNumber(parts.den);
    if (parts && divisor !== undefined && divisor > 0) {
      const scaled = mulPoly(without, constant(divisor));
      const taken = mulPoly(parts.num, constant(-coefficient));
      const difference = scaled && taken && addPoly(scaled, taken, -1);
      if (difference) best = lowerBound(difference, depth - 1) / divisor;
    }
  } else if (key.startsWith('min(') && !key.includes('\0')) {
    for (const arg of new Reader(key, () => undefined).callArguments()) {
      const taken = mulPoly(arg, constant(-coefficient));
      const difference = taken && addPoly(without, taken, -1);
      if (difference) best = Math.max(best, lowerBound(difference, depth - 1));
    }
  }
  return best;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

interface Fraction {
  readonly num: Poly;
  readonly den: Poly;
}

class Failure extends Error {}
class Overflow extends Error {}

/** Recursive descent over dimension text. */
class Reader {
  readonly #tokens: readonly string[];
  readonly #resolve: Resolve;
  #at = 0;

  constructor(text: string, resolve: Resolve) {
    const pattern = /\s*('[^']*'|\d+|[A-Za-z_][\w.:]*(?:-[A-Za-z_][\w.:]*)*|\*\*|\/\/|[-+*/(),])\s*/y;
    const tokens: string[] = [];
    while (pattern.lastIndex < text.length) {
      const match = pattern.exec(text);
      if (!match) {
        tokens.length = 0;
        break;
      }
      tokens.push(match[1] as string);
    }
    this.#tokens = tokens;
    this.#resolve = resolve;
  }

  /** The whole text as a polynomial; undefined when it is no expression. */
  whole(): Poly | undefined | 'overflow' {
    try {
      const { num, den } = this.#sum(0);
      if (this.#at !== this.#tokens.length) return undefined;
      return dividePoly(num, den);
    } catch (error) {
      if (error instanceof Failure) return undefined;
      if (error instanceof Overflow) return 'overflow';
      throw error;
    }
  }
  /** p and n of the text `floor(p/n)`. */
  floorParts(): Fraction | undefined {
    this.#at = 2;
    try {
      return this.#sum(1);
    } catch (error) {
      if (error instanceof Failure || error instanceof Overflow) return undefined;
      throw error;
    }
  }
  /** Arguments of the text `min(a,b,…)`. */
  callArguments(): Poly[] {
    this.#at = 1;
    return this.#arguments(1);
  }

  #sum(depth: number): Fraction {
    if (depth > 24) throw new Failure();
    let total = this.#take('-') ? negate(this.#product(depth)) : this.#product(depth);
    for (;;) {
      if (this.#take('+')) total = addFractions(total, this.#product(depth), 1);
      else if (this.#take('-')) total = addFractions(total, this.#product(depth), -1);
      else return total;
    }
  }
  #product(depth: number): Fraction {
    let product = this.#power(depth);
    for (;;) {
      if (this.#take('*')) {
        const { num, den } = this.#power(depth);
        product = { num: need(mulPoly(product.num, num)), den: need(mulPoly(product.den, den)) };
      } else if (this.#take('//')) {
        const divisor = this.#power(depth);
        product = whole(floorFraction(divide(product, divisor)));
      } else if (this.#take('/')) product = divide(product, this.#power(depth));
      else return product;
    }
  }
  #power(depth: number): Fraction {
    const base = this.#factor(depth);
    if (!this.#take('**')) return base;
    const exponent = Number(this.#tokens[this.#at++]);
    if (!Number.isInteger(exponent) || exponent < 1 || exponent > 8) throw new Failure();
    let power = base;
    for (let count = 1; count < exponent; count++) {
      power = { num: need(mulPoly(power.num, base.num)), den: need(mulPoly(power.den, base.den)) };
    }
    return power;
  }
  #factor(depth: number): Fraction {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Failure();
    if (token === '(') {
      const inner = this.#sum(depth + 1);
      this.#expect(')');
      return inner;
    }
    if (/^\d/.test(token)) return whole(constant(Number(token)));
    if (token.startsWith("'")) return whole(need(opaque(token.slice(1, -1), this.#resolve)));
    if (!/^[A-Za-z_]/.test(token)) throw new Failure();
    if (this.#tokens[this.#at] === '(') return whole(this.#call(token, depth + 1));
    return whole(need(symbol(token, this.#resolve)));
  }
  #call(name: string, depth: number): Poly {
    const kind = name.toLowerCase();
    if (kind === 'min' || kind === 'max') {
      const args = this.#arguments(depth);
      return args.reduce((a, b) => need(extremePoly(kind, a, b)));
    }
    if (kind !== 'floor' && kind !== 'ceil' && kind !== 'ceiling') throw new Failure();
    this.#expect('(');
    const inner = this.#sum(depth);
    this.#expect(')');
    if (kind === 'floor') return floorFraction(inner);
    const rest = need(addPoly(inner.num, need(addPoly(inner.den, constant(1), -1))));
    return floorFraction({ num: rest, den: inner.den });
  }
  #arguments(depth: number): Poly[] {
    const args: Poly[] = [];
    this.#expect('(');
    do {
      const { num, den } = this.#sum(depth);
      const arg = dividePoly(num, den);
      if (!arg) throw new Failure();
      args.push(arg);
    } while (this.#take(','));
    this.#expect(')');
    return args;
  }
  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }
  #expect(token: string): void {
    if (!this.#take(token)) throw new Failure();
  }
}

function need(poly: Poly | undefined): Poly {
  if (!poly) throw new Overflow();
  return poly;
}
const whole = (num: Poly): Fraction => ({ num, den: constant(1) });
const negate = ({ num, den }: Fraction): Fraction => ({ num: need(addPoly(new Map(), num, -1)), den });
function divide(a: Fraction, b: Fraction): Fraction {
  if (b.num.size === 0) throw new Failure();
  return { num: need(mulPoly(a.num, b.den)), den: need(mulPoly(a.den, b.num)) };
}
function addFractions(a: Fraction, b: Fraction, sign: 1 | -1): Fraction {
  const left = need(mulPoly(a.num, b.den));
  const right = need(mulPoly(b.num, a.den));
  return { num: need(addPoly(left, right, sign)), den: need(mulPoly(a.den, b.den)) };
}
function floorFraction({ num, den }: Fraction): Poly {
  return need(floorDivPoly(num, den));
}
