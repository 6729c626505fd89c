import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { allFinite, axisView, channelRanges, intRanges, quantizeChannels } from '../../../src/kernels/quantize.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { floatWeights, noBroadcast, placeFor } from '../linear.ts';
import { looksUp, readTable } from '../table.ts';
import { rowScales } from './underflow.ts';

/**
 * Gather of rows from a constant float table → Gather of int8 rows, Cast, Mul by the row's own scale, gathered too.
 * Lookups do no arithmetic on the codes, so no processor can saturate: always int8 in full range.
 */
export function embeddingRule(
  minElements: number,
  tied: (table: Value) => { readonly codes: Value; readonly scales: Value } | undefined = () => undefined,
): Rule {
  const made = new Map<Value, { codes: Value; scales: Value }>();
  return {
    id: 'embedding',
    summary: 'Embedding tables are stored in 8 bits, with one scale per row',
    ops: ['Gather'],
    apply(match, edit) {
      const { root } = match;
      const found = readTable(root, minElements);
      if ('why' in found) return found;
      const old = noBroadcast(edit.opset);
      if (old !== undefined) return miss(root, old);
      const { value: table, indices, tensor } = found;
      if (tensor.dtype !== 'float32') return miss(root, `its table "${table.name}" is ${tensor.dtype}, not float32`);
      const other = table.consumers.find((node) => !looksUp(node, table));
      if (other || table.isGraphOutput) {
        return miss(
          root,
          `its table "${table.name}" is also read by ${other ?? 'the graph output'}, so the float copy would stay beside the quantized one`,
        );
      }
      const data = floatWeights(tensor);
      if (!data || !allFinite(data)) return miss(root, `its table "${table.name}" holds NaN or infinite numbers`);

      const quantized = made.get(table) ?? tied(table) ?? quantizeRows(root, table, tensor, data);
      if (typeof quantized === 'string') return miss(root, quantized);
      made.set(table, quantized);
      const { shape } = root.output();
      const rows = edit.insert('Gather', {
        name: root.name,
        inputs: [quantized.codes, indices],
        types: [tensorType('int8', shape)],
      });
      const cast = edit.insert('Cast', {
        inputs: [rows.output()],
        attrs: { to: dtypeCode('float32') },
        types: [tensorType('float32', shape)],
      });
      const scales = edit.insert('Gather', { inputs: [quantized.scales, indices] });
      const last = edit.insert('Mul', {
        inputs: [cast.output(), scales.output()],
        types: [tensorType('float32', shape)],
      });
      edit.replace(root, last);
      return { detail: `${tensor.shape.join('×')} table in 8 bits` };
    },
  };
}

function quantizeRows(
  node: Node,
  table: Value,
  tensor: Tensor,
  data: Float32Array,
): { codes: Value; scales: Value } | string {
  const view = axisView(tensor.shape, 0);
  const range = intRanges.int8.symmetric;
  const { low, high } = channelRanges(data, view);
  const scales = rowScales(table, low, high, range);
  if (typeof scales === 'string') return scales;
  const codes = quantizeChannels(data, view, { scales, zeroPoints: new Uint8Array(scales.length) }, range);
  const anchor = placeFor(table, node);
  return {
    codes: addConstant(anchor, `${table.name}_quantized`, tensorFromBytes('int8', tensor.shape, codes)),
    scales: addConstant(anchor, `${table.name}_scale`, tensorFrom('float32', [scales.length, 1], scales)),
  };
}
