import type { Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { type Costs, isDepthwise, nodeNs, perElement, sizeOf, type UnitCost } from './cost.ts';
import type { Unit } from './unit.ts';

/**
 * The same for onnxruntime-web on one thread (1.30, SIMD), where no layout is blocked and the ratios are others: measured with chains of
 * convolutions of 24 to 512 channels on maps of 7 to 112, products of 1 and 32 rows, the other ops on 32×56×56. Convolutions of full depth are 2 to 2.7 times
 * as fast on integers, depthwise ones 1 to 4.5 times as *slow*, MaxPool 13 times, AveragePool 4, products of one row 1.2 to 1.9.
 */

/** By op, nanoseconds an element of the larger side: in float, and on integers. */
const perElementOnWasm: Readonly<Record<string, readonly [float: number, integer: number]>> = {
  Add: [0.52, 0.63],
  Mul: [0.5, 0.61],
  Concat: [0.65, 0.25],
  Sigmoid: [2.9, 0.65],
  LeakyRelu: [1.05, 0.64],
  Softmax: [2.8, 3.5],
  AveragePool: [3.7, 14],
  GlobalAveragePool: [0.47, 0.26],
  MaxPool: [2.1, 27],
  Transpose: [0.85, 0.57],
  Slice: [0.62, 0.33],
  Split: [0.62, 0.33],
  Reshape: [0, 0],
  Flatten: [0, 0],
  Squeeze: [0, 0],
  Unsqueeze: [0, 0],
};
/** Ops that were not measured there: as on the CPU, slower by what Add is. */
const slower = 5;

function unitCost(unit: Unit, elements: (value: Value) => number): UnitCost {
  const { node, weighted } = unit;
  if (!weighted) {
    const size = sizeOf(unit, elements);
    const [float, integer] = perElementOnWasm[node.op] ?? perElement(node.op).map((one) => one * slower);
    return { float: nodeNs + size * (float ?? 0), integer: nodeNs + size * (integer ?? 0) };
  }
  const out = unit.outputs.reduce((sum, value) => sum + elements(value), 0);
  return node.op === 'Conv' ? convCost(unit, out) : productCost(unit, out);
}

function convCost({ node, weighted }: Unit, out: number): UnitCost {
  const shape = weighted?.tensor.shape ?? [];
  const [channels = 1, inner = 1] = shape;
  const taps = elementCount(shape.slice(2));
  if (isDepthwise(node, channels, inner)) {
    // Small maps: what each channel takes to set up is most of it in float.
    return { float: nodeNs + channels * 500 + out * taps * 0.28, integer: 3 * nodeNs + out * taps * 1.25 };
  }
  const deep = inner * taps;
  // Integer kernels win little where each output sums up few products.
  return {
    float: nodeNs + (out * deep) / 14 + out * 2,
    integer: 3 * nodeNs + (out * deep) / 33 + out * (0.8 + 70 / deep),
  };
}

/** Few rows are bound by reading the weights, and widening them to 16 bits costs more than their size spares. */
function productCost({ weighted }: Unit, out: number): UnitCost {
  const { k = 1, channels = 1 } = weighted ?? {};
  const weights = k * channels;
  return {
    float: nodeNs + Math.max((out * k) / 13.6, weights * 0.082),
    integer: 3 * nodeNs + Math.max((out * k) / 30, weights * 0.158) + out * 0.1,
  };
}

/** Turning values into integers, and back. */
const quantizeNs = 0.82;
const dequantizeNs = 0.58;

export const wasmCosts: Costs = {
  unit: unitCost,
  quantize: (_, elements) => nodeNs + elements * quantizeNs,
  dequantize: (_, elements) => nodeNs + elements * dequantizeNs,
  // No layout is better than another there.
  channelsFirst: () => 0,
  guards: true,
  leastGain: 0,
};
