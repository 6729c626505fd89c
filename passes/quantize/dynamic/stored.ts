import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom, tensorFromBytes } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { balanceChannels, balanceWindows, windowOf } from '../../../src/kernels/balance.ts';
import { allFinite, axisView, intRanges, quantizeChannels } from '../../../src/kernels/quantize.ts';
import { type Trace, walk } from '../../../src/rewrite/driver.ts';
import { addConstant, type Edit } from '../../../src/rewrite/edit.ts';
import { keepRule } from '../../../src/rewrite/keep.ts';
import { miss } from '../../../src/rewrite/match.ts';
import { releaseConstant } from '../../../src/rewrite/release-constant.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { float32First, floatWeights, noBroadcast, notConstant, placeFor } from '../linear.ts';
import { logarithmBehind } from '../logarithm.ts';
import { channelScales } from './scales.ts';

/** Inputs that hold weights, and how many leading dimensions have a scale of their own. */
const weightInputs: Readonly<Record<string, readonly { readonly index: number; readonly channels: number }[]>> = {
  Conv: [{ index: 1, channels: 1 }],
  ConvTranspose: [{ index: 1, channels: 1 }],
  GRU: [
    { index: 1, channels: 2 },
    { index: 2, channels: 2 },
  ],
  RNN: [
    { index: 1, channels: 2 },
    { index: 2, channels: 2 },
  ],
};

/**
 * Weights of operators that have no fast 8-bit kernel with activations quantized at run time: stored in 8 bits, and made float again
 * by Cast and Mul, which ONNX Runtime does once, at load. (DequantizeLinear it would do on every run: a GRU of 256 units takes 78 µs
 * with it, 30 with these two, 30 in float32.) A quarter of the download, at the speed and in the memory of float32.
 */
export function storedRule(minElements: number): Rule {
  const made = new Map<Value, Value>();
  return {
    id: 'stored',
    summary: 'Weights of convolutions, GRU and RNN are stored in 8 bits and expanded once, at load',
    ops: Object.keys(weightInputs),
    apply({ root }, edit) {
      const old = noBroadcast(edit.opset);
      if (old !== undefined) return miss(root, old);
      const logarithm = root.op === 'Conv' ? logarithmBehind(root) : undefined;
      if (logarithm !== undefined) return miss(root, logarithm);
      let done = 0;
      for (const { index, channels } of weightInputs[root.op] ?? []) {
        const value = root.input(index);
        const tensor = constantOf(value);
        if (!value || !tensor) return miss(root, notConstant(value));
        if (tensor.dtype !== 'float32')
          return miss(
            root,
            `its weights "${value.name}" are ${tensor.dtype}, not float32${float32First(tensor.dtype)}`,
            false,
          );
        const elements = elementCount(tensor.shape);
        if (elements < minElements)
          return miss(
            root,
            `its weights "${value.name}" have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`,
          );
        const other = value.consumers.find((node) => !sameUse(node, root, value));
        if (other || value.isGraphOutput)
          return miss(
            root,
            `its weights "${value.name}" are also read by ${other ?? 'the graph output'}, so the float copy would stay beside the codes`,
          );
        if (!allFinite(floatWeights(tensor) as Float32Array))
          return miss(root, `its weights "${value.name}" hold NaN or infinite numbers`);
        if (typeof channelScales(value, tensor, tensor.shape.slice(0, channels)) === 'string')
          return miss(root, String(channelScales(value, tensor, tensor.shape.slice(0, channels))));
        done += elements;
      }
      for (const { index, channels } of weightInputs[root.op] ?? []) {
        const value = root.input(index) as Value;
        const expanded = made.get(value) ?? store(root, value, channels, edit);
        made.set(value, expanded);
        root.setInput(index, expanded);
        releaseConstant(value);
      }
      return { detail: `${done} weights stored in 8 bits` };
    },
  };
}

/**
 * What float operators are left with where others run on integers: their weights are all that there is to gain. Those on integers read codes
 * already, and have no float weights.
 * @returns whether there were any
 */
export function storeRest(
  model: Model,
  { minElements, keep }: { readonly minElements: number; readonly keep: readonly string[] },
  applied: Trace['applied'],
): boolean {
  return walk(model, [keepRule(storedRule(minElements), keep)], { applied, skipped: () => undefined }).changed;
}

/** Whether another node uses the weights as `root` does. */
function sameUse(node: Node, root: Node, value: Value): boolean {
  if (node.op !== root.op || node.domain !== root.domain) return false;
  return node.inputs.every((input, index) => input !== value || root.input(index) === value);
}

function store(root: Node, value: Value, channels: number, edit: Edit): Value {
  const tensor = constantOf(value) as Tensor;
  const { shape } = tensor;
  const leading = shape.slice(0, channels);
  const view = axisView([elementCount(leading), elementCount(shape.slice(channels))], 0);
  const scales = channelScales(value, tensor, leading) as Float32Array;
  const data = floatWeights(tensor) as Float32Array;
  const range = intRanges.int8.symmetric;
  const zeroPoints = new Uint8Array(scales.length);
  const codes = quantizeChannels(data, view, { scales, zeroPoints }, range);
  // Kernels over pictures: neighbours are alike, and so are, behind most activations, the signs of all inputs of an output channel.
  // (What a ConvTranspose gives out is a sum over some places of its window, other ones for each output of a stride.)
  if (root.op === 'Conv') {
    const window = windowOf(shape);
    balanceWindows(data, codes, scales, window, range);
    balanceChannels(data, codes, view, { scales, zeroPoints }, range, window);
  }
  // Where the weights stood, so that all branches that read them can read these.
  const own = placeFor(value, root);
  const stored = addConstant(own, `${value.name}_quantized`, tensorFromBytes('int8', shape, codes));
  const factors = addConstant(
    own,
    `${value.name}_scale`,
    tensorFrom('float32', [...leading, ...shape.slice(channels).map(() => 1)], scales),
  );
  const cast = edit.insert(
    'Cast',
    { inputs: [stored], attrs: { to: dtypeCode('float32') }, types: [tensorType('float32', shape)] },
    own,
  );
  const product = edit.insert('Mul', { inputs: [cast.output(), factors], types: [tensorType('float32', shape)] }, own);
  return product.output();
}
