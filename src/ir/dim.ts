import { extremePoly, floorDivPoly, formatPoly, isNonNegative, lowerBound, parsePoly } from './dim/expression.ts';
import { addPoly, asNumber, atomsOf, constant, dividePoly, mulPoly, type Poly } from './dim/poly.ts';
import type { Dim, Shape } from './types.ts';

/**
 * Arithmetic on dimensions. Symbolic results are canonical text, so that equal expressions are equal strings: sums of
 * products with integer coefficients over symbols, with `floor(a/b)`, `min(a,b)` and `max(a,b)` where those do not
 * dissolve. Symbols stand for extents and are ≥ 0. An unknown operand gives an unknown result.
 */

/** Names that some exporters give to every dimension they do not know: two of them are not the same extent. */
const placeholder = /^\s*(\?|\*|none|null|any|unk|unknown|dynamic)?\s*$/i;

/** A declared dimension as far as it says something: no name that stands for "not known" (`?`, `None`). */
export const namedDim = (dim: Dim): Dim => (typeof dim === 'string' && placeholder.test(dim) ? undefined : dim);

export function addDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  return combine(a, b, (x, y) => addPoly(x, y));
}

export function subDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return combine(a, b, (x, y) => addPoly(x, y, -1));
}

export function mulDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  if (a === 1 || b === 1) return a === 1 ? b : a;
  if (a === 0 || b === 0) return 0;
  return combine(a, b, mulPoly);
}

/** Rounds down (not towards zero). Unknown for a divisor of 0. */
export function floorDivDims(a: Dim, b: Dim): Dim {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return Math.floor(a / b);
  if (b === 1) return a;
  return combine(a, b, floorDivPoly);
}

/** Rounds up. */
export function ceilDivDims(a: Dim, b: Dim): Dim {
  return floorDivDims(addDims(a, subDims(b, 1)), b);
}

/** a / b where the division leaves no rest, else unknown. */
export function exactDivDims(a: Dim, b: Dim): Dim {
  if (b === 0) return undefined;
  if (typeof a === 'number' && typeof b === 'number') return Number.isInteger(a / b) ? a / b : undefined;
  return combine(a, b, dividePoly);
}

export function minDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.min(a, b);
  return combine(a, b, (x, y) => extremePoly('min', x, y));
}

export function maxDims(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return Math.max(a, b);
  return combine(a, b, (x, y) => extremePoly('max', x, y));
}

/** Number of elements of a shape; 1 for a scalar; unknown when a dimension is. A fixed 0 makes it 0 all the same. */
export function productDims(dims: Iterable<Dim>): Dim {
  let product: Dim = 1;
  let unknown = false;
  for (const dim of dims) {
    if (dim === 0) return 0;
    if (dim === undefined) unknown = true;
    else product = mulDims(product, dim);
  }
  return unknown ? undefined : product;
}

/** Known to be equal. Two unknown dimensions are not. */
export function equalDims(a: Dim, b: Dim): boolean {
  if (a === undefined || b === undefined) return false;
  if (a === b) return true;
  return typeof a !== 'number' || typeof b !== 'number' ? normalizeDim(a) === normalizeDim(b) : false;
}

export function equalShapes(a: Shape | undefined, b: Shape | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((dim, axis) => equalDims(dim, b[axis]));
}

/** Known to be different for every value of the symbols. */
export function differentDims(a: Dim, b: Dim): boolean {
  const difference = subDims(a, b);
  if (difference === undefined) return false;
  if (typeof difference === 'number') return difference !== 0;
  return leastOf(difference) > 0 || leastOf(mulDims(difference, -1)) > 0;
}

/** Canonical text of what a model or exporter wrote; a number where the text is one. */
export function normalizeDim(dim: Dim): Dim {
  if (typeof dim !== 'string') return dim;
  const poly = parsePoly(dim);
  return poly ? formatPoly(poly) : dim;
}

/** Replaces symbols by numbers or expressions. What is not bound stays. */
export function substituteDim(dim: Dim, bindings: ReadonlyMap<string, number | string>): Dim {
  if (typeof dim !== 'string') return dim;
  const direct = bindings.get(dim);
  if (direct !== undefined) return direct;
  const poly = parsePoly(dim, (symbol) => bindings.get(symbol));
  return poly && formatPoly(poly);
}

export function substituteShape(shape: Shape, bindings: ReadonlyMap<string, number | string>): Dim[] {
  return shape.map((dim) => substituteDim(dim, bindings));
}

/** Every symbol that a dimension mentions. */
export function symbolsOf(dim: Dim): Set<string> {
  const symbols = new Set<string>();
  if (typeof dim !== 'string') return symbols;
  parsePoly(dim, (symbol) => {
    symbols.add(symbol);
    return undefined;
  });
  return symbols;
}

/** The symbols of declared values, but for names that say nothing. */
export function declaredSymbols(values: readonly { readonly shape: Shape | undefined }[]): Set<string> {
  return new Set(values.flatMap(({ shape }) => (shape ?? []).flatMap((dim) => [...symbolsOf(namedDim(dim))])));
}

/** Known to be ≥ 0, given that symbols are. */
export function isNonNegativeDim(dim: Dim): boolean {
  if (typeof dim === 'number') return dim >= 0;
  const poly = toPoly(dim);
  return poly !== undefined && isNonNegative(poly);
}

/** The least value a dimension can take; −Infinity when that is not known. */
export function leastOf(dim: Dim): number {
  if (typeof dim === 'number') return dim;
  const poly = toPoly(dim);
  return poly ? lowerBound(poly) : Number.NEGATIVE_INFINITY;
}

/** The single symbol that a dimension is, such as `batch`; undefined for numbers and expressions. */
export function symbolOf(dim: Dim): string | undefined {
  const poly = toPoly(typeof dim === 'string' ? dim : undefined);
  if (!poly || poly.size !== 1 || asNumber(poly) !== undefined) return undefined;
  const [[key, coefficient] = ['', 0]] = poly;
  const [only, ...more] = atomsOf(key);
  return coefficient === 1 && more.length === 0 && only && !/^(floor|min|max)\(/.test(only)
    ? (dim as string)
    : undefined;
}

function combine(a: Dim, b: Dim, operation: (a: Poly, b: Poly) => Poly | undefined): Dim {
  const x = toPoly(a);
  const y = toPoly(b);
  const result = x && y && operation(x, y);
  return result && formatPoly(result);
}

function toPoly(dim: Dim): Poly | undefined {
  if (typeof dim === 'number') return Number.isSafeInteger(dim) ? constant(dim) : undefined;
  return dim === undefined ? undefined : parsePoly(dim);
}
