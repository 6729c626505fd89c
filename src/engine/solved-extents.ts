import { cloneModel } from '../ir/clone.ts';
import { exactDivDims, namedDim, productDims, substituteDim, symbolsOf } from '../ir/dim.ts';
import type { Model, Node } from '../ir/graph.ts';
import { type Inferred, inferShapes } from '../ir/infer/infer.ts';
import { sortTopologically } from '../ir/sort.ts';
import type { Dim } from '../ir/types.ts';
import { isBatch, requiredInputs } from './feed-shapes.ts';

/** What a model that was traced asks of its symbols: both sides have to be the same number. */
interface Equation {
  readonly open: Dim;
  readonly wanted: number;
  /** The extent may be 1 as well: it is broadcast then. */
  readonly orOne?: boolean;
}

/** Operators whose operands are broadcast against each other. */
const broadcasting = new Set(['Add', 'Sub', 'Mul', 'Div', 'Where', 'Max', 'Min', 'Pow', 'Equal', 'And', 'Or']);
const largest = 65536;

/**
 * Extents for the symbols of the inputs of a model that declares axes open but was traced with one extent of them, as far as they follow from the graph: a
 * Reshape keeps the number of elements, and what is added to a value has its extents (or 1). Equations of one symbol come first, in the order of the
 * graph, batches among them only where nothing else than the traced extent runs (a Reshape); then first axes are taken to be batches of 1; last, equations of several symbols (height and width of a picture) are solved with all alike.
 * @returns undefined where nothing follows
 */
export function solvedExtents(model: Model): Readonly<Record<string, number>> | undefined {
  const symbols = symbolsOfInputs(model);
  const equations = equationsOf(model);
  const known = new Map<string, number>();
  const batches = new Map([...symbols].filter(([symbol]) => isBatch.test(symbol)));
  const traced = solveAll(
    equations.filter(({ orOne }) => !orOne),
    batches,
    known,
    1,
  );
  for (const batch of batches.keys()) if (!known.has(batch)) known.set(batch, 1);
  const single = solveAll(equations, symbols, known, 1);
  for (const [symbol, isFirst] of symbols) if (isFirst && !known.has(symbol)) known.set(symbol, 1);
  const more = solveAll(equations, symbols, known, 1);
  const alike = solveAll(equations, symbols, known, symbols.size);
  return traced || single || more || alike ? Object.fromEntries(known) : undefined;
}

/** The symbols of the inputs, and whether they stand for first axes alone. */
function symbolsOfInputs(model: Model): Map<string, boolean> {
  const symbols = new Map<string, boolean>();
  for (const { shape } of requiredInputs(model))
    for (const [axis, dim] of (shape ?? []).entries())
      for (const symbol of symbolsOf(namedDim(dim))) symbols.set(symbol, axis === 0 && symbols.get(symbol) !== false);
  return symbols;
}

/** Adds to `known` what equations of at most `most` open symbols say, until none says more. @returns whether any did */
function solveAll(
  equations: readonly Equation[],
  asked: ReadonlyMap<string, boolean>,
  known: Map<string, number>,
  most: number,
): boolean {
  const start = known.size;
  for (let before = -1; before < known.size; ) {
    before = known.size;
    for (const { open, wanted } of equations) {
      const left = substituteDim(open, known);
      const symbols = [...symbolsOf(left)];
      if (symbols.length === 0 || symbols.length > most || !symbols.every((symbol) => asked.has(symbol))) continue;
      const extent = solve(left, symbols, wanted);
      if (extent !== undefined) for (const symbol of symbols) known.set(symbol, extent);
    }
  }
  return known.size > start;
}

/** The smallest extent that all of the symbols can have together; a dimension never falls when they grow. */
function solve(open: Dim, symbols: readonly string[], wanted: number): number | undefined {
  const at = (extent: number): number => {
    const value = substituteDim(open, new Map(symbols.map((symbol) => [symbol, extent])));
    return typeof value === 'number' ? value : Number.NaN;
  };
  let [low, high] = [1, largest];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (at(middle) >= wanted) high = middle;
    else low = middle + 1;
  }
  return at(low) === wanted ? low : undefined;
}

function equationsOf(model: Model): Equation[] {
  const copy = cloneModel(model);
  sortTopologically(copy.graph);
  const inferred = inferShapes(copy, { write: false });
  return [...copy.graph.nodes].flatMap((node) => {
    if (node.is('Reshape')) return ofReshape(node, inferred);
    return broadcasting.has(node.op) && node.domain === '' ? ofBroadcast(node, inferred) : [];
  });
}

function shapeAt(node: Node, index: number, { types }: Inferred): readonly Dim[] | undefined {
  const value = node.input(index);
  const type = value && (types.get(value) ?? value.type);
  return type?.kind === 'tensor' ? type.shape : undefined;
}

function ofReshape(node: Node, inferred: Inferred): Equation[] {
  const shape = shapeAt(node, 0, inferred);
  const value = node.input(1);
  const target = value && inferred.data.get(value);
  if (!shape || !target) return [];
  const wanted = target.items.map((dim, axis) => (dim === 0 && node.int('allowzero', 0) === 0 ? shape[axis] : dim));
  // −1 takes whatever is left.
  if (wanted.some((dim) => typeof dim !== 'string' && !(typeof dim === 'number' && dim > 0))) return [];
  const [before, after] = [productDims(shape), productDims(wanted)];
  if (typeof after === 'number') return [{ open: before, wanted: after }];
  const ratio = exactDivDims(before, after);
  return typeof ratio === 'string' ? [{ open: ratio, wanted: 1 }] : [];
}

function ofBroadcast(node: Node, inferred: Inferred): Equation[] {
  const shapes = node.inputs.flatMap((_, index) => {
    const shape = shapeAt(node, index, inferred);
    return shape ? [shape.toReversed()] : [];
  });
  const rank = Math.max(0, ...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, axis) => shapes.map((shape) => shape[axis] ?? 1)).flatMap((dims) => {
    const wanted = dims.find((dim) => typeof dim === 'number' && dim > 1);
    return typeof wanted === 'number'
      ? dims.flatMap((open) => (typeof open === 'string' ? [{ open, wanted, orOne: true }] : []))
      : [];
  });
}
