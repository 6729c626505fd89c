import { UserError } from '../../src/errors.ts';
import { namedDim, substituteShape } from '../../src/ir/dim.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { type Dim, type Shape, tensorType } from '../../src/ir/types.ts';
import { nearest } from '../../src/messages.ts';
import type { Trace } from '../../src/pass/pass.ts';

/**
 * Fixes dynamic dimensions. Each entry is one of
 *   `x=1x3x224x224`  the shape of input x; `?` leaves a dimension as it is
 *   `x=batch:1`      the symbol `batch` in the shape of input x (and so everywhere it stands for the same)
 *   `batch=1`        the symbol `batch` wherever it stands
 * @throws UserError `input-shape` when an entry cannot be read, names nothing in the model, or contradicts the model or
 * another entry.
 */
export function fixInputShapes(model: Model, entries: readonly string[], trace: Trace): boolean {
  const bindings = new Map<string, number>();
  const shapes = new Map<Value, Dim[]>();
  const inputs = model.graph.inputs.filter((value) => value.initializer === undefined);
  for (const entry of entries) readEntry(entry, inputs, bindings, shapes);
  let changed = false;
  for (const [value, shape] of shapes) {
    if (!sameDims(value.shape, shape)) {
      value.type = tensorType(value.dtype ?? 'float32', shape);
      trace.applied('input-shape', value.name, shape.map((dim) => dim ?? '?').join('x'));
      changed = true;
    }
  }
  if (bindings.size > 0 && bindSymbols(model, bindings)) {
    for (const [symbol, extent] of bindings) trace.applied('input-shape', symbol, `${symbol}=${extent}`);
    changed = true;
  }
  return changed;
}

function readEntry(
  entry: string,
  inputs: readonly Value[],
  bindings: Map<string, number>,
  shapes: Map<Value, Dim[]>,
): void {
  const at = entry.lastIndexOf('=');
  const name = entry.slice(0, at).trim();
  const right = entry.slice(at + 1).trim();
  if (at <= 0 || right === '') fail(`"${entry}" is no input shape: write name=1x3x224x224, or symbol=1`);
  const input = inputs.find((value) => value.name === name);
  if (!input) {
    const symbols = symbolsOf(inputs);
    if (!symbols.includes(name)) {
      const known = [...inputs.map((value) => value.name), ...symbols];
      fail(`"${entry}" names neither an input nor a dimension of one${nearest(name, known)}`);
    }
    bind(bindings, name, extentOf(right, entry), entry);
    return;
  }
  if (input.type?.kind !== 'tensor') fail(`input "${name}" of "${entry}" is no tensor`);
  const symbol = /^(.+):(\d+)$/.exec(right);
  if (symbol?.[1] !== undefined) {
    const declared = symbolsOf([input]);
    if (!declared.includes(symbol[1])) {
      fail(`input "${name}" has no dimension "${symbol[1]}"${nearest(symbol[1], declared)}, as "${entry}" says`);
    }
    bind(bindings, symbol[1], extentOf(symbol[2] ?? '', entry), entry);
    return;
  }
  fixShape(input, right.split('x'), entry, bindings, shapes);
}

function fixShape(
  input: Value,
  parts: readonly string[],
  entry: string,
  bindings: Map<string, number>,
  shapes: Map<Value, Dim[]>,
): void {
  const declared = input.shape;
  if (declared && declared.length !== parts.length) {
    fail(`"${entry}" gives ${parts.length} dimensions, but input "${input.name}" has ${declared.length}`);
  }
  const shape: Dim[] = [];
  for (const [axis, part] of parts.entries()) {
    const before = declared?.[axis];
    if (part === '?' || part === before) {
      shape.push(before);
      continue;
    }
    const extent = extentOf(part, entry);
    if (typeof before === 'number' && before !== extent) {
      fail(
        `"${entry}" wants ${extent} in dimension ${axis} of input "${input.name}", which the model fixes at ${before}`,
      );
    }
    const named = namedDim(before);
    if (typeof named === 'string') bind(bindings, named, extent, entry);
    shape.push(extent);
  }
  shapes.set(input, shape);
}

function extentOf(text: string, entry: string): number {
  const extent = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(extent)) fail(`"${text}" in "${entry}" is no extent: a whole number is expected`);
  return extent;
}

function bind(bindings: Map<string, number>, symbol: string, extent: number, entry: string): void {
  const before = bindings.get(symbol);
  if (before !== undefined && before !== extent) {
    fail(`"${entry}" makes dimension "${symbol}" ${extent}, but another entry made it ${before}`);
  }
  bindings.set(symbol, extent);
}

function symbolsOf(inputs: readonly Value[]): string[] {
  const symbols = new Set<string>();
  for (const { shape } of inputs) for (const dim of shape ?? []) if (typeof dim === 'string') symbols.add(dim);
  return [...symbols];
}

/** Puts the numbers for the symbols in every declared type, expressions such as `2*seq` included. */
function bindSymbols(model: Model, bindings: ReadonlyMap<string, number>): boolean {
  let changed = false;
  const visit = (value: Value | undefined): void => {
    const type = value?.type;
    if (!value || type?.kind !== 'tensor' || !type.shape) return;
    const shape = substituteShape(type.shape, bindings);
    if (sameDims(type.shape, shape)) return;
    value.type = tensorType(type.dtype, shape);
    changed = true;
  };
  for (const graph of model.graphs()) {
    for (const value of graph.inputs) visit(value);
    for (const value of graph.outputs) visit(value);
    for (const node of graph.nodes) for (const value of node.outputs) visit(value);
  }
  return changed;
}

function sameDims(a: Shape | undefined, b: Shape): boolean {
  return a !== undefined && a.length === b.length && a.every((dim, axis) => dim === b[axis]);
}

function fail(message: string): never {
  throw new UserError('input-shape', message);
}
