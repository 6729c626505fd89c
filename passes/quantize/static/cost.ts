import type { Node, Value } from '../../../src/ir/graph.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { blockSize } from '../../fuse/layout/pad-channels.ts';
import type { CpuProfile } from '../cpu.ts';
import { filledChannels, quad } from './fill-inputs.ts';
import { activationsOf } from './plan.ts';
import type { Unit } from './unit.ts';

/**
 * What nodes cost on the CPU provider of ONNX Runtime, in float and on integers, in nanoseconds on one thread: only their ratios count.
 * Measured node by node with the runtime's profiler on an AVX-512 VNNI machine (ONNX Runtime 1.30; convolutions of 1 to 512
 * channels on maps of 7 to 112, the other ops on 32×56×56; conversions, pools and small maps inside yunet-face and fastestdet). In the sweep:
 * pointwise and 3×3 convolutions are 2 to 4 times as fast on integers, depthwise ones 1.5 to 4 times as *slow*, those of three input
 * channels with few filters up to 2.8 times, AveragePool 25 times.
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
  MaxPool: [0.08, 0.12],
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
  /** Whether a weighted node in float between integers may pay, so that it is worth guarding. */
  readonly guards: boolean;
  /** Share of the float time that integers must save in all, for less is within what these figures are wrong by. */
  readonly leastGain: number;
  /** Added for a MaxPool on integers whose input, of so many elements, is computed in float. */
  channelsFirst(elements: number): number;
}

export function nativeCosts(cpu: NativeProfile): Costs {
  return {
    unit: (unit, elements) => unitCost(unit, cpu, elements),
    quantize: quantizeNs,
    dequantize: dequantizeNs,
    channelsFirst: channelsFirstNs,
    // On the way from one layout to the other and back a depthwise convolution of 64 × 80 × 80 in float took 889 µs with its neighbours, on integers 660.
    guards: false,
    leastGain,
  };
}

/**
 * Models of 30 to 110 µs of which the table said 0.96 and 0.91 of the time in float (mnist-cntk, a small ShuffleNet) took 1.03; the next ones, 0.75 by the
 * table, 0.86 and 0.91 (yunet-face, fastestdet), and 0.48, 0.48, 0.33: 0.47, 0.46, 0.38 (cifar10-resnet20, mobilenet, supres).
 */
const leastGain = 0.1;

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
  const inBlocks = node.op === 'MaxPool' && channelsOf(unit) % blockSize === 0;
  const moves = unit.kind === 'mover' && !inBlocks ? layoutNs : 0;
  return { float: nodeNs + size * (float + moves), integer: nodeNs + size * integer };
}

function channelsOf(unit: Unit): number {
  const channels = unit.outputs[0]?.shape?.[1];
  return typeof channels === 'number' ? channels : 1;
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
    const float = 3 * nodeNs + out * taps * 0.026;
    return { float, integer: integerDepthwise(channels, out * taps) };
  }
  const positions = out / channels;
  if (shape.length === 5) {
    const volume = { positions, channels, inner, taps };
    return {
      float: 2 * nodeNs + (out * inner * taps) / volumeMacsPerNs + out * 0.08,
      integer: 4 * nodeNs + integerVolume(volume, cpu),
    };
  }
  const wide = inner >= 8 ? blocked(inner) : inner;
  const float = (positions * blocked(channels) * wide * taps) / macsPerNs + out * 0.08;
  const own = integerConv({ positions, channels, inner, taps }, cpu);
  const filled = weighted && filledChannels(node, weighted.tensor);
  const integer =
    filled === undefined ? own : Math.min(own, integerConv({ positions, channels, inner: filled, taps }, cpu));
  return { float: 2 * nodeNs + float, integer: 4 * nodeNs + integer };
}

interface ConvSize {
  /** Of the output, channels left out. */
  readonly positions: number;
  readonly channels: number;
  readonly inner: number;
  readonly taps: number;
}

/**
 * MLAS has a kernel that reads windows in place and rounds its sums itself, for 16 output channels or more and input channels in fours; without it windows
 * are copied together, and sums are rounded in a second go. Measured on one thread (µs, 3 → 4 input channels): 3×3 with 16 filters on 32² 28 → 16, on 112² by twos 78 → 42,
 * 224² 296 → 156; 32 filters, 352² 923 → 443; 7×7, 64 filters 1207 → 1050; 4×4 by fours 153 → 108; with 8 filters 289 → 292; 10 → 12 channels, 1×1, 72 → 30.
 */
function integerConv({ positions, channels, inner, taps }: ConvSize, cpu: NativeProfile): number {
  const inPlace = channels >= blockSize && inner % quad === 0;
  // The kernel works on 16 columns at least, and on fewer than that at half the pace.
  const pace = integerMacsPerNs[cpu] * (channels < blockSize ? 0.5 : 1);
  const copied = inPlace ? 0 : taps > 9 ? 0.4 : 1;
  const gather = taps > 1 ? positions * taps * ((inner < 8 ? 0.75 : 0.5 + inner * 0.005) + copied) : 0;
  const out = positions * channels;
  return (positions * blocked(channels) * inner * taps) / pace + out * (inPlace ? 0.08 : 0.28) + gather;
}

/** Convolutions over volumes have no blocked kernel in float: windows are copied and multiplied. */
const volumeMacsPerNs = 40;

/**
 * Nor do they have an integer one that reads windows in place. Measured on one thread (ms, float and integers): 3×3×3 of 3 → 24 channels on 8×48² 1.15, 9.1; 24 → 24 18.5, 6.6;
 * 12 → 24 on 8×24² 0.87, 0.82; 4 → 32 0.35, 0.77; 8 → 16 0.50, 0.70; 24 → 48 2.45, 1.13; 1×3×3 of 3 → 24 on 8×48² 0.46, 3.2; 24 → 24 2.2, 1.6.
 */
function integerVolume({ positions, channels, inner, taps }: ConvSize, cpu: NativeProfile): number {
  const pace = integerMacsPerNs[cpu] * (channels < blockSize ? 0.5 : 1);
  const gather = taps > 1 ? positions * taps * (inner % quad === 0 ? 5 : 18) : 0;
  return (positions * blocked(channels) * inner * taps) / pace + positions * channels * 0.28 + gather;
}

/** How many channels the input of a convolution is to have, where integers are quicker with some of zeros beside its own, what it takes to put those there included. */
export function channelsThatPay(
  unit: Unit,
  cpu: NativeProfile,
  elements: (value: Value) => number,
): number | undefined {
  const { node, weighted } = unit;
  const filled = weighted && filledChannels(node, weighted.tensor);
  if (filled === undefined || !weighted) return undefined;
  const [channels = 1, inner = 1, ...window] = weighted.tensor.shape;
  const positions = unit.outputs.reduce((sum, value) => sum + elements(value), 0) / channels;
  const size = { positions, channels, inner, taps: elementCount(window) };
  const input = activationsOf(unit).reduce((sum, value) => sum + elements(value), 0);
  const own = integerConv(size, cpu);
  const saved = own - integerConv({ ...size, inner: filled }, cpu);
  return saved > nodeNs + input * fillNs + own * leastGain ? filled : undefined;
}

/** To put the channel of zeros there, and to turn it with the others into the last axis. */
const fillNs = 0.12;

const blocked = (count: number): number => Math.ceil(count / blockSize) * blockSize;

/**
 * A depthwise convolution on integers takes 16 channels at a time, and twice as long where they do not come out even.
 * @param products multiplications in all
 */
export function integerDepthwise(channels: number, products: number): number {
  return channels % blockSize === 0 ? 9 * nodeNs + products * 0.042 : 20 * nodeNs + products * 0.08;
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

/**
 * Turning a value into integers, or back: with the change of layout that float convolutions next to it bring (a node of its own to leave
 * their blocks, or to make them, and one to put channels last or first).
 */
function quantizeNs(value: Value, elements: number): number {
  const image = isImage(value);
  if (value.isGraphInput) return (image ? 2 : 1) * nodeNs + elements * (image ? 0.45 : 0.15);
  return (image ? 3 : 1) * nodeNs + elements * (image ? 0.34 : 0.15);
}

function dequantizeNs(value: Value, elements: number): number {
  if (!isImage(value)) return nodeNs + elements * 0.1;
  const blocks = value.consumers.some(({ op }) => op === 'Conv' || op.endsWith('Pool'));
  return (blocks ? 3 : 2) * nodeNs + elements * (blocks ? 0.42 : 0.28);
}

const isImage = (value: Value): boolean => value.shape?.length === 4;

/**
 * What a MaxPool on integers takes longer behind a node in float: there channels come first, for which its kernel is 5 to 40 times as slow as
 * for channels last. (QuantizeLinear is moved ahead of a MaxPool in float, too.)
 */
function channelsFirstNs(elements: number): number {
  return elements * 1.5;
}
