/**
 * Polynomials with integer coefficients over atoms. An atom is a symbol, a function text such as `floor(n/2)`, or an
 * opaque text in single quotes. A monomial is the sorted list of its atoms, joined by NUL; '' is the constant.
 */
export type Poly = ReadonlyMap<string, number>;

const separator = '\0';
/** Beyond this many terms an expression helps nobody. */
const maxTerms = 48;

export function constant(value: number): Poly {
  return value === 0 ? new Map() : new Map([['', value]]);
}
export function atom(text: string): Poly {
  return new Map([[text, 1]]);
}

/** The number a polynomial is, when it is one. */
export function asNumber(poly: Poly): number | undefined {
  if (poly.size === 0) return 0;
  return poly.size === 1 ? poly.get('') : undefined;
}

/** The single atom that a polynomial is, when it is one. */
export function asAtom(poly: Poly): string | undefined {
  if (poly.size !== 1) return undefined;
  const [[key, coefficient] = ['', 0]] = poly;
  return coefficient === 1 && key !== '' && !key.includes(separator) ? key : undefined;
}

export function addPoly(a: Poly, b: Poly, sign: 1 | -1 = 1): Poly | undefined {
  const sum = new Map(a);
  for (const [key, coefficient] of b) {
    const next = (sum.get(key) ?? 0) + sign * coefficient;
    if (next === 0) sum.delete(key);
    else sum.set(key, next);
  }
  return checked(sum);
}

export function mulPoly(a: Poly, b: Poly): Poly | undefined {
  if (a.size * b.size > maxTerms * maxTerms) return undefined;
  const product = new Map<string, number>();
  for (const [keyA, x] of a) {
    for (const [keyB, y] of b) {
      const key = joinKeys(keyA, keyB);
      const next = (product.get(key) ?? 0) + x * y;
      if (next === 0) product.delete(key);
      else product.set(key, next);
    }
  }
  return checked(product);
}

/** a / b when the division leaves no rest (multivariate long division). */
export function dividePoly(a: Poly, b: Poly): Poly | undefined {
  const [leadB] = terms(b);
  if (!leadB) return undefined;
  const quotient = new Map<string, number>();
  let rest: Poly = a;
  for (let step = 0; step <= maxTerms; step++) {
    const [lead] = terms(rest);
    if (!lead) return quotient;
    const key = removeKey(lead[0], leadB[0]);
    const coefficient = lead[1] / leadB[1];
    if (key === undefined || !Number.isInteger(coefficient)) return undefined;
    quotient.set(key, coefficient);
    const part = mulPoly(new Map([[key, coefficient]]), b);
    const next = part && addPoly(rest, part, -1);
    if (!next) return undefined;
    rest = next;
  }
  return undefined;
}

/** Terms, highest degree first, then by name: a monomial order, so that division terminates. */
export function terms(poly: Poly): [string, number][] {
  return [...poly].sort(([a], [b]) => degree(b) - degree(a) || (a < b ? -1 : a > b ? 1 : 0));
}

/** Atoms of a monomial. */
export function atomsOf(key: string): string[] {
  return key === '' ? [] : key.split(separator);
}

function degree(key: string): number {
  return atomsOf(key).length;
}

function joinKeys(a: string, b: string): string {
  if (a === '' || b === '') return a + b;
  return [...a.split(separator), ...b.split(separator)].sort().join(separator);
}

/** The monomial `key` without the atoms of `part`; undefined when one is missing. */
function removeKey(key: string, part: string): string | undefined {
  const atoms = atomsOf(key);
  for (const text of atomsOf(part)) {
    const at = atoms.indexOf(text);
    if (at < 0) return undefined;
    atoms.splice(at, 1);
  }
  return atoms.join(separator);
}

function checked(poly: Poly): Poly | undefined {
  if (poly.size > maxTerms) return undefined;
  for (const coefficient of poly.values()) if (!Number.isSafeInteger(coefficient)) return undefined;
  return poly;
}
