import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { allFinite, axisView, channelRanges, quantizeChannels, transpose } from '../../../src/kernels/quantize.ts';
import { addConstant, type Edit } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import { floatWeights, placeFor } from '../linear.ts';
import { rowScales } from './underflow.ts';
import { codeRange, safeScales, signedRange, type WeightFormat } from './weights.ts';

interface GateWeights {
  readonly codes: Value;
  readonly scales: Value;
  readonly zeroPoints: Value;
}

/**
 * LSTM → com.microsoft.DynamicQuantizeLSTM: W and R in 8 bits with one scale per gate row, laid out [directions, inputs,
 * 4 · hidden] (transposed against ONNX), inputs quantized at run time.
 */
export function lstmRule(format: WeightFormat, minElements: number): Rule {
  const made = new Map<Value, GateWeights>();
  return {
    id: 'lstm',
    summary: 'LSTM keeps its weights in 8 bits (DynamicQuantizeLSTM)',
    ops: ['LSTM'],
    apply(match, edit) {
      const { root } = match;
      const [w, r] = [root.input(1), root.input(2)];
      const [wTensor, rTensor] = [constantOf(w), constantOf(r)];
      if (!w || !r || !wTensor || !rTensor) return miss(root, 'its weights are not constant');
      const elements = elementCount(wTensor.shape) + elementCount(rTensor.shape);
      if (elements < minElements)
        return miss(
          root,
          `its weights have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`,
        );
      if (root.int('layout', 0) !== 0)
        return miss(root, 'ONNX Runtime has no quantized LSTM with batch-first layout (layout = 1)');
      const problem = unusable(w, wTensor) ?? unusable(r, rTensor);
      if (problem) return miss(root, problem);

      const input = quantizeGates(root, w, wTensor, format, made);
      const recurrent = quantizeGates(root, r, rTensor, format, made);
      if (typeof input === 'string') return miss(root, input);
      if (typeof recurrent === 'string') return miss(root, recurrent);
      const attrs = Object.fromEntries([...root.attrs].filter(([name]) => name !== 'layout'));
      const optional = Array.from({ length: 5 }, (_, i) => root.input(3 + i));
      const node = edit.insert('DynamicQuantizeLSTM', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [
          root.input(0),
          input.codes,
          recurrent.codes,
          ...optional,
          input.scales,
          input.zeroPoints,
          recurrent.scales,
          recurrent.zeroPoints,
        ],
        outputs: root.outputs.map((output) => (output ? '' : undefined)),
        attrs,
      });
      useMicrosoft(root);
      replaceOutputs(edit, root, node);
      return { detail: `${elements} weights in 8 bits` };
    },
  };
}

function unusable(value: Value, tensor: Tensor): string | undefined {
  const data = floatWeights(tensor);
  if (!data || tensor.dtype !== 'float32') return `its weights "${value.name}" are ${tensor.dtype}, not float32`;
  return allFinite(data) ? undefined : `its weights "${value.name}" hold NaN or infinite numbers`;
}

function quantizeGates(
  node: Node,
  value: Value,
  tensor: Tensor,
  format: WeightFormat,
  made: Map<Value, GateWeights>,
): GateWeights | string {
  const known = made.get(value);
  if (known) return known;
  const data = floatWeights(tensor) as Float32Array;
  const [directions = 1, gates = 1, inputs = 1] = tensor.shape;
  const range = codeRange(format);
  const view = axisView([directions * gates, inputs], 0);
  const { low, high } = channelRanges(data, view);
  const full = rowScales(value, low, high, signedRange(format));
  if (typeof full === 'string') return full;
  const scales = safeScales(format, full, full, data, 'n');
  const zeroPoints = new Uint8Array(scales.length).fill(format.type === 'uint8' ? 128 : 0);
  const codes = quantizeChannels(data, view, { scales, zeroPoints }, range);
  const size = gates * inputs;
  for (let d = 0; d < directions; d++) {
    codes.set(transpose(codes.slice(d * size, (d + 1) * size), gates, inputs), d * size);
  }
  const anchor = placeFor(value, node);
  const weights = {
    codes: addConstant(
      anchor,
      `${value.name}_quantized`,
      tensorFromBytes(format.type, [directions, inputs, gates], codes),
    ),
    scales: addConstant(anchor, `${value.name}_scale`, tensorFrom('float32', [directions, gates], scales)),
    zeroPoints: addConstant(
      anchor,
      `${value.name}_zero_point`,
      tensorFromBytes(format.type, [directions, gates], zeroPoints),
    ),
  };
  made.set(value, weights);
  return weights;
}

/** All outputs of `by` take the places of those of `from`, which goes. */
function replaceOutputs(edit: Edit, from: Node, by: Node): void {
  for (const [index, output] of [...from.outputs.entries()]) if (output) edit.replaceValue(output, by.output(index));
  from.graph.removeWithUnused(from);
}
