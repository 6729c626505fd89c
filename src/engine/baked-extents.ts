import { constantNumbers } from '../ir/constant.ts';
import { declaredSymbols } from '../ir/dim.ts';
import { graphsBelow, type Model, type Node, type Value } from '../ir/graph.ts';
import { isBatch, requiredInputs } from './feed-shapes.ts';

const wrappers = new Set(['Unsqueeze', 'Cast', 'Identity']);

/** Most attempts that are worth their time. */
const most = 64;

/**
 * Extents for the symbols of the inputs, for models that declare an axis dynamic but were traced with one extent of it
 * (torch's MultiheadAttention through the TorchScript exporter): every way of giving the symbols numbers that stand in the
 * targets of Reshape and Expand, the most frequent numbers first.
 */
export function* bakedExtents(model: Model): Generator<Record<string, number>> {
  const symbols = [...declaredSymbols(requiredInputs(model))].filter((symbol) => !isBatch.test(symbol));
  const numbers = [1, ...targetNumbers(model)];
  if (symbols.length === 0 || numbers.length === 1) return;
  // As many of the numbers as can be tried in all combinations.
  // (The cube root of 64 comes out as 3.9999999999999996.)
  const width = Math.min(numbers.length, Math.floor(most ** (1 / symbols.length) + 1e-9));
  if (width < 2) return;
  for (let code = 0; code < width ** symbols.length; code++) {
    const entries = symbols.map((symbol, at) => [symbol, numbers[Math.floor(code / width ** at) % width] ?? 1]);
    yield Object.fromEntries(entries);
  }
}

/** What stands before Unsqueeze and the like, in exports without constant folding. */
function origin(value: Value | undefined): Value | undefined {
  let at = value;
  for (let hops = 0; hops < 3 && at?.producer && wrappers.has(at.producer.op); hops++) at = at.producer.input(0);
  return at;
}

function targetNumbers(model: Model): number[] {
  const counts = new Map<number, number>();
  const count = (value: Value | undefined): void => {
    for (const number of constantNumbers(origin(value), 8) ?? [])
      if (number > 1 && number <= 65536) counts.set(number, (counts.get(number) ?? 0) + 1);
  };
  const target = (node: Node): Value | undefined =>
    node.is('Reshape') || node.is('Expand') ? node.input(1) : undefined;
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const value = target(node);
      count(value);
      if (value?.producer?.is('Concat')) for (const part of value.producer.inputs) count(part);
    }
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([number]) => number);
}
