import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import type { CpuProfile } from '../cpu.ts';
import { activationsOf } from './plan.ts';
import type { Unit } from './unit.ts';

/**
 * What nodes cost on the CPU provider of ONNX Runtime, in float and on integers, in nanoseconds on one thread: only their ratios count.
 * Measured node by node with the runtime's profiler on an AVX-512 VNNI machine (ONNX Runtime 1.30; convolutions of 16 to 512
 * channels on maps of 7 to 112, the other ops on 32×56×56). In the sweep: pointwise and 3×3 convolutions are 2 to 4 times as fast on
 * integers, depthwise ones 1.3 to 3.5 times as *slow*, those of three input channels with few filters up to 2.8 times, AveragePool 25 times.
 */

/** Multiply-accumulates a nanosecond: in float as the NCHWc kernels do, and on integers. */
const macsPerNs = 55;
export type NativeProfile = Exclude<CpuProfile, 'wasm'>;

/**
 * Integer rates by processor: vnni measured; the others scaled by the number of instructions their kernels take for as many
 * products. (WebAssembly has a table of its own, cost-wasm.ts.)
 */
const integerMacsPerNs: Readonly<Record<NativeProfile, number>> = {
  auto: 220,
  vnni: 220,
  avx512: 100,
  avx2: 100,
  'arm-dot': 180,
  arm: 80,
};

/** For ops other than those with weights: fixed part of any node, then nanoseconds an element (of the larger side). */
export const nodeNs = 1000;
const elementNs: Readonly<Record<string, readonly [float: number, integer: number]>> = {
  Add: [0.12, 0.17],
  Mul: [0.18, 0.23],
  Concat: [0.15, 0.28],
  Where: [0.77, 0.5],
  Sigmoid: [0.3, 0.27],
  LeakyRelu: [0.16, 0.27],
  Softmax: [0.6, 2.6],
  AveragePool: [0.23, 5.7],
  GlobalAveragePool: [0.08, 0.08],
  MaxPool: [0.22, 0.4],
  Resize: [0.43, 0.94],
  ReduceMax: [0.1, 0.5],
  ReduceMin: [0.1, 0.5],
  DepthToSpace: [1.8, 1.1],
  Split: [0.13, 0.2],
  Reshape: [0, 0],
  Flatten: [0, 0],
  Squeeze: [0, 0],
  Unsqueeze: [0, 0],
};
const otherMover: readonly [number, number] = [0.12, 0.05];
export const perElement = (op: string): readonly [float: number, integer: number] => elementNs[op] ?? otherMover;

/** What a float node amid convolutions pays an element to leave their blocked layout and come back to it. */
const layoutNs = 0.17;

export interface UnitCost {
  readonly float: number;
  readonly integer: number;
}

/** What nodes cost on a kind of processor; `elements` says how many a value has in one inference. */
export interface Costs {
  unit(unit: Unit, elements: (value: Value) => number): UnitCost;
  quantize(value: Value, elements: number): number;
  dequantize(value: Value, elements: number): number;
}

export function nativeCosts(cpu: NativeProfile): Costs {
  return {
    unit: (unit, elements) => unitCost(unit, cpu, elements),
    quantize: quantizeNs,
    dequantize: dequantizeNs,
  };
}

/** Three bytes less for each weight to fetch, at 30 GB/s: decides where both ways take as long. */
const storedNs = 0.1;

/** @param elements of a value in one inference */
function unitCost(unit: Unit, cpu: NativeProfile, elements: (value: Value) => number): UnitCost {
  const { node, weighted } = unit;
  const out = unit.outputs.reduce((sum, value) => sum + elements(value), 0);
  if (weighted) {
    const { float, integer } = node.op === 'Conv' ? convCost(unit, cpu, out) : productCost(unit, cpu, out);
    return { float: float + elementCount(weighted.tensor.shape) * storedNs, integer };
  }
  const size = sizeOf(unit, elements);
  const [float, integer] = perElement(node.op);
  const moves = unit.kind === 'mover' && node.op !== 'MaxPool' ? layoutNs : 0;
  return { float: nodeNs + size * (float + moves), integer: nodeNs + size * integer };
}

/** Elements on the larger side of a unit. */
export function sizeOf(unit: Unit, elements: (value: Value) => number): number {
  const sum = (values: readonly Value[]): number => values.reduce((all, value) => all + elements(value), 0);
  return Math.max(sum(unit.outputs), sum(activationsOf(unit)));
}

function convCost({ node, weighted }: Unit, cpu: NativeProfile, out: number): UnitCost {
  const shape = weighted?.tensor.shape ?? [];
  const [channels = 1, inner = 1] = shape;
  const taps = elementCount(shape.slice(2));
  if (isDepthwise(node, channels, inner)) {
    // Its integer kernel takes 16 channels at a time, and is three times as slow where they do not come out even.
    const pace = channels % 16 === 0 ? 0.045 : 0.12;
    return { float: nodeNs + out * taps * 0.028, integer: 3 * nodeNs + out * taps * pace };
  }
  const blocked = (count: number): number => Math.ceil(count / 16) * 16;
  const wide = inner >= 8 ? blocked(inner) : inner;
  const positions = out / channels;
  const float = (positions * blocked(channels) * wide * taps) / macsPerNs;
  const gather = taps > 1 ? positions * taps * (1 + inner * 0.03) : 0;
  const integer = (out * inner * taps) / integerMacsPerNs[cpu] + out * 0.1 + gather;
  return { float: nodeNs + float, integer: 3 * nodeNs + integer };
}

export function isDepthwise(node: Node, channels: number, inner: number): boolean {
  return inner === 1 && channels > 1 && node.int('group', 1) === channels;
}

/** Few rows are bound by reading the weights: four times as many bytes in float. */
function productCost({ weighted }: Unit, cpu: NativeProfile, out: number): UnitCost {
  const { k = 1, channels = 1 } = weighted ?? {};
  const weights = k * channels;
  const rate = integerMacsPerNs[cpu];
  return {
    float: nodeNs + Math.max((out * k) / macsPerNs, weights * 0.15),
    integer: 3 * nodeNs + Math.max((out * k) / rate, weights * 0.045) + out * 0.1,
  };
}

/** Turning a value into integers, or back: with the change of layout that float convolutions next to it bring. */
function quantizeNs(value: Value, elements: number): number {
  const image = (value.shape?.length ?? 0) === 4;
  if (value.isGraphInput) return nodeNs + elements * (image ? 0.13 : 0.15);
  return nodeNs + elements * (image ? 0.22 : 0.15);
}

function dequantizeNs(value: Value, elements: number): number {
  return nodeNs + elements * ((value.shape?.length ?? 0) === 4 ? 0.24 : 0.1);
}
