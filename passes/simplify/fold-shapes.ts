import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import type { Data } from '../../src/ir/infer/data.ts';
import { elementCount, type Tensor, tensorOf } from '../../src/ir/tensor.ts';
import type { Trace } from '../../src/pass/pass.ts';
import { putConstant } from './fold-constants.ts';
import type { Known } from './known.ts';
import { purityOf } from './purity.ts';

const integers = ['int64', 'int32', 'bool'] as const;
type Integer = (typeof integers)[number];

/**
 * Shape arithmetic that comes out as numbers, whatever the inputs: a constant. And arithmetic that comes out as the same
 * symbols as an earlier value: that value.
 */
export function foldShapes(model: Model, known: Known, trace: Trace): boolean {
  const purity = purityOf(model);
  let changed = false;
  const visit = (graph: Model['graph'], outer: readonly Map<string, Value>[]): void => {
    const own = new Map<string, Value>();
    const scopes = [own, ...outer];
    for (const node of graph.nodes) {
      for (const subgraph of node.subgraphs) visit(subgraph, scopes);
      if (node.is('Constant') || purity.impure(node)) continue;
      for (const value of node.outputs) {
        if (value?.isUsed && fold(node, value, known, scopes, trace)) changed = true;
      }
    }
  };
  visit(model.graph, []);
  return changed;
}

function fold(node: Node, value: Value, known: Known, scopes: readonly Map<string, Value>[], trace: Trace): boolean {
  const data = known.data(value);
  const dtype = integers.find((type) => type === known.dtype(value));
  if (!data || !dtype || data.items.length !== elementCount(data.shape) || constantOf(value)) return false;
  const tensor = tensorFor(data, dtype);
  if (tensor) {
    // An Identity from a constant to a graph output is there for the name.
    if (node.is('Identity') && value.isGraphOutput) return false;
    trace.applied('fold-shape', node, `[${data.items.join(', ')}]`);
    putConstant(node, value, tensor);
    return true;
  }
  if (data.items.includes(undefined) || value.isGraphOutput) return false;
  const key = `${dtype}[${data.shape.join(',')}](${data.items.join(';')})`;
  const twin = scopes.map((scope) => scope.get(key)).find((found) => found !== undefined);
  if (!twin) {
    scopes[0]?.set(key, value);
    return false;
  }
  trace.applied('shape-value', node, `= "${twin.name}" [${data.items.join(', ')}]`);
  node.graph.replaceUses(value, twin);
  return true;
}

function tensorFor(data: Data, dtype: Integer): Tensor | undefined {
  const numbers: number[] = [];
  for (const item of data.items) {
    if (typeof item !== 'number' || !fits(item, dtype)) return undefined;
    numbers.push(item);
  }
  return tensorOf(dtype, data.shape, numbers);
}

/** Saturated numbers stand for more than they say, so they are left to the runtime. */
function fits(item: number, dtype: Integer): boolean {
  if (dtype === 'bool') return item === 0 || item === 1;
  return Number.isSafeInteger(item) && Math.abs(item) < (dtype === 'int32' ? 2 ** 31 : Number.MAX_SAFE_INTEGER);
}
