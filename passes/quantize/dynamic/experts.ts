import { int } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { elementCount, type Tensor, tensorFrom, tensorFromBytes, typedArray } from '../../../src/ir/tensor.ts';
import type { ValueType } from '../../../src/ir/types.ts';
import { allFinite, axisView, channelRanges, intRanges, quantizeChannels } from '../../../src/kernels/quantize.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { noBroadcast, placeFor } from '../linear.ts';
import { rowScales } from './underflow.ts';

/** A matrix out of [experts, rows, columns] that a Gather picks for each token, turned by Transposes on its way into a product. */
interface Picked {
  readonly gather: Node;
  readonly table: Value;
  readonly tensor: Tensor;
  readonly indices: Value;
  /** From the Gather to the product. */
  readonly turns: readonly (readonly number[])[];
  /** The operand of the product, and the axis of the table (1 or 2) that it sums over. */
  readonly operand: 0 | 1;
  readonly summed: 1 | 2;
}

/**
 * Inferred types, where a model has experts that are picked, for the rule to ask: exporters seldom declare how many axes the indices have. The graph is sorted for it.
 * @returns undefined where it has none
 */
export function typesForExperts(model: Model): ReadonlyMap<Value, ValueType> | undefined {
  const has = [...model.graphs()].some((graph) =>
    [...graph.nodes].some((node) => isPick(node) && constantOf(node.input(0))?.shape.length === 3),
  );
  if (!has) return undefined;
  sortTopologically(model.graph);
  return inferShapes(model, { write: false }).types;
}

/** TorchScript's exporter writes Gather, the newer one GatherND over indices of one number each. */
const isPick = (node: Node): boolean => node.is('Gather') || node.is('GatherND');

/** Transposes between a Gather and its product, at most. */
const mostTurns = 2;

/**
 * Experts in one table: Gather of float32 [E, N, K] → MatMul becomes Gather of int8, Cast, MatMul, and a product with the scales of what was picked,
 * float32 [E, N, 1] or [E, 1, N]: one scale for each expert and output, which is the same for a whole sum, so the scales meet outputs and not weights. A quarter of the bytes are moved.
 * Times over float's (one thread, AVX-512): two of 8 experts of 512 × 512 0.95, sixteen of 1024 × 512 0.73. GatherBlockQuantized works element by element: 78 and 6.6.
 */
export function expertsRule(minElements: number, keptWhy: (node: Node) => string | undefined): Rule {
  return {
    id: 'experts',
    summary: 'Experts that a Gather picks are stored in 8 bits, with one scale for each output',
    ops: ['MatMul'],
    apply({ root }, edit) {
      const found = readPicked(root, edit);
      if ('why' in found) return found;
      const { gather, table, tensor, indices, turns, operand, summed } = found;
      const elements = elementCount(tensor.shape);
      const why =
        keptWhy(root) ??
        noBroadcast(edit.opset) ??
        (elements < minElements
          ? `its experts "${table.name}" have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`
          : table.useCount > 1 || table.isGraphOutput
            ? `its experts "${table.name}" are read elsewhere too, so the float table would stay beside the codes`
            : undefined);
      if (why !== undefined) return miss(root, why);
      const stored = quantize(root, table, tensor, summed);
      if (typeof stored === 'string') return miss(root, stored);
      const pick = (from: Value): Value =>
        edit
          .insert(gather.op, { inputs: [from, indices], ...(gather.is('Gather') && { attrs: { axis: int(0) } }) })
          .output();
      const turn = (value: Value): Value =>
        turns.reduce(
          (at, perm) => edit.insert('Transpose', { inputs: [at], attrs: { perm: [...perm] } }).output(),
          value,
        );
      const codes = pick(stored.codes);
      const cast = edit.insert('Cast', { inputs: [codes], attrs: { to: dtypeCode('float32') } });
      const inputs = [root.input(0), root.input(1)];
      inputs[operand] = turn(cast.output());
      const product = edit.insert('MatMul', { name: root.name, inputs, types: [root.output().type] });
      const scales = turn(pick(stored.scales));
      edit.replace(root, edit.insert('Mul', { inputs: [product.output(), scales], types: [root.output().type] }));
      return { detail: `${tensor.shape.join('×')} experts in 8 bits` };
    },
  };
}

function readPicked(root: Node, edit: Edit): Picked | Miss {
  const none = miss(root, 'it multiplies with no matrix that a Gather picks', false);
  for (const operand of [1, 0] as const) {
    const turns: (readonly number[])[] = [];
    let by = root.input(operand)?.producer;
    while (
      by?.is('Transpose') &&
      turns.length < mostTurns &&
      by.output().useCount === 1 &&
      !by.output().isGraphOutput
    ) {
      const perm = by.ints('perm');
      if (!perm) break;
      turns.unshift(perm);
      by = by.input(0)?.producer;
    }
    const [table, indices] = [by?.input(0), by?.input(1)];
    const tensor = constantOf(table);
    if (!by || !isPick(by) || !table || !indices || tensor?.dtype !== 'float32' || tensor.shape.length !== 3) continue;
    const output = by.output();
    if (
      by.int('axis', 0) !== 0 ||
      by.int('batch_dims', 0) !== 0 ||
      output.useCount !== 1 ||
      output.isGraphOutput ||
      constantOf(indices)
    )
      continue;
    const shape = edit.types.shapeOf(indices);
    if (by.is('GatherND') && shape?.at(-1) !== 1) continue;
    const rank = shape && (by.is('GatherND') ? shape.length - 1 : shape.length);
    const other = root.input(1 - operand);
    const otherRank = other && edit.types.shapeOf(other)?.length;
    if (rank === undefined || otherRank === undefined || otherRank < 2) continue;
    // Back from the operand's axis to that of what was picked: [...indices, rows, columns].
    const axis = turns.reduceRight((at, perm) => perm[at] ?? -1, operand === 0 ? rank + 1 : rank);
    const summed = axis - rank + 1;
    if (summed !== 1 && summed !== 2) continue;
    // The batch of the product must be that of the indices: an axis of outputs turned into it would be a scale for each matrix.
    const kept = turns.reduceRight((at, perm) => perm[at] ?? -1, operand === 0 ? rank : rank + 1);
    if (kept - rank + 1 !== 3 - summed) continue;
    return { gather: by, table, tensor, indices, turns, operand, summed };
  }
  return none;
}

function quantize(root: Node, table: Value, tensor: Tensor, summed: 1 | 2): { codes: Value; scales: Value } | string {
  const data = typedArray(tensor, 'float32');
  if (!allFinite(data)) return `its experts "${table.name}" hold NaN or infinite numbers`;
  const [experts, rows, columns] = tensor.shape as [number, number, number];
  const outputs = summed === 2 ? rows : columns;
  const view = axisView([rows, columns], summed === 2 ? 0 : 1);
  const range = intRanges.int8.symmetric;
  const codes = new Uint8Array(data.length);
  const scales = new Float32Array(experts * outputs);
  for (let expert = 0; expert < experts; expert++) {
    const own = data.subarray(expert * rows * columns, (expert + 1) * rows * columns);
    const { low, high } = channelRanges(own, view);
    const found = rowScales(table, low, high, range);
    if (typeof found === 'string') return found;
    scales.set(found, expert * outputs);
    codes.set(
      quantizeChannels(own, view, { scales: found, zeroPoints: new Uint8Array(outputs) }, range),
      expert * rows * columns,
    );
  }
  const anchor = placeFor(table, root);
  const form = summed === 2 ? [experts, rows, 1] : [experts, 1, columns];
  return {
    codes: addConstant(anchor, `${table.name}_quantized`, tensorFromBytes('int8', tensor.shape, codes)),
    scales: addConstant(anchor, `${table.name}_scale`, tensorFrom('float32', form, scales)),
  };
}
