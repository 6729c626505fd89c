import { convWindow } from '../../src/ir/conv-window.ts';
import type { Model } from '../../src/ir/graph.ts';
import { elementCount, type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import type { GroupView } from '../../src/kernels/mask.ts';
import { transpose } from '../../src/kernels/quantize.ts';
import type { GramRequest, PatchRequest } from '../../src/pass/pass.ts';
import { floatWeights, readLinear } from '../quantize/linear.ts';
import type { PruneTarget } from './targets.ts';

/** A layer whose weights can be held against what it sees: as rows [n, k], one for each output, in `groups` of equal size. */
export interface FitLayer {
  readonly target: PruneTarget;
  readonly request: GramRequest | PatchRequest;
  readonly n: number;
  readonly k: number;
  readonly groups: number;
  /** How inputs lie in a row: [1, inputs, elements of the kernel]. Patterns run along the middle one. */
  readonly columns: GroupView;
  /** The layer's output is its products times this. */
  readonly alpha: number;
  readonly rows: () => Float32Array;
  /** Rows in the form and type of the target's tensor. */
  readonly stored: (rows: Float32Array) => Tensor;
}

/** @returns the sentence that says why nothing of what the layer sees can be known. */
export function fitLayer(target: PruneTarget, model: Model): FitLayer | string {
  const { node, value, readers, tensor } = target;
  if (readers.length > 1)
    return `its weights "${value.name}" are shared by ${readers.length} layers, which see different things: by magnitude`;
  if (node.graph !== model.graph)
    return 'it stands in a branch, a loop or a function, where inputs are not observed: by magnitude';
  const weights = (): Float32Array => floatWeights(tensor) ?? new Float32Array();
  const store = (data: Float32Array): Tensor =>
    tensor.dtype === 'float16'
      ? tensorFrom('float16', tensor.shape, f32ToF16(data))
      : tensorFrom('float32', tensor.shape, data);
  const input = node.input(0);
  if (node.op !== 'MatMul' && node.op !== 'Gemm' && node.input(target.index) !== value)
    return `its weights "${value.name}" stand behind a Transpose, which simplify takes in: by magnitude`;
  if (node.op === 'Conv') {
    const [n = 0, perGroup = 0, ...kernel] = tensor.shape;
    const groups = node.int('group', 1);
    if (!input || kernel.length === 0 || n % groups !== 0) return 'its shape is no convolution';
    const taps = elementCount(kernel);
    const k = perGroup * taps;
    const request = { value: input, window: convWindow(node, kernel), groups, k };
    const columns = { outer: 1, length: perGroup, inner: taps };
    return { target, request, n, k, groups, columns, alpha: 1, rows: weights, stored: store };
  }
  if (node.op === 'MatMul' || node.op === 'Gemm') {
    const linear = readLinear(node);
    if (typeof linear === 'string') return `${linear}: by magnitude`;
    const { batch, transA, k, n, rows, alpha, a } = linear;
    if (batch.length > 0) return `its weights "${value.name}" are a batch of matrices: by magnitude`;
    if (transA) return 'it transposes its input: by magnitude';
    const turn = (data: Float32Array, from: number, to: number): Float32Array =>
      rows === 'n' ? data : transpose(data, from, to);
    return {
      target,
      request: { value: a, k },
      n,
      k,
      groups: 1,
      columns: { outer: 1, length: k, inner: 1 },
      alpha,
      rows: () => turn(weights(), k, n),
      stored: (data) => store(turn(data, n, k)),
    };
  }
  if (target.index === 1 && input && ['LSTM', 'GRU', 'RNN'].includes(node.op)) {
    const [directions = 0, gates = 0, k = 0] = tensor.shape;
    const columns = { outer: 1, length: k, inner: 1 };
    const n = directions * gates;
    return { target, request: { value: input, k }, n, k, groups: 1, columns, alpha: 1, rows: weights, stored: store };
  }
  return `what its weights "${value.name}" are multiplied with is not observed (${node.op}): by magnitude`;
}
