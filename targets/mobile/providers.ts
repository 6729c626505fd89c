import type { Node } from '../../src/ir/graph.ts';
import type { Artifact } from '../../src/target/target.ts';
import { coremlMlProgram, coremlNeuralNetwork } from './tables/coreml.ts';
import { nnapi } from './tables/nnapi.ts';
import type { OperatorTable } from './tables/operator-table.ts';
import { qnn } from './tables/qnn.ts';
import { xnnpack } from './tables/xnnpack.ts';
import { xnnpackTakes } from './tables/xnnpack-conditions.ts';

/** In what numbers a model computes, as far as providers tell them apart. */
export type Precision = 'float32' | 'float16' | 'int8-qdq' | 'int8-operators' | 'int8-dynamic' | 'blocks';

export interface MobileProvider {
  readonly id: 'coreml-mlprogram' | 'coreml-neuralnetwork' | 'nnapi' | 'xnnpack' | 'qnn';
  readonly name: string;
  readonly platform: 'ios' | 'android' | 'both';
  readonly table: OperatorTable;
  readonly needsFixedShapes: boolean;
  readonly maxRank?: number;
  readonly takesNode?: (node: Node) => boolean;
  /** Runs on the CPU itself: no copies at the borders of partitions. */
  readonly onCpu: boolean;
  /** The precision to give it, and those that it takes at all. */
  readonly best: Precision;
  readonly takes: readonly Precision[];
  readonly why: string;
  /** What to know before shipping. */
  readonly notes: readonly string[];
}

/** Release of ONNX Runtime that tables and notes were taken from. */
export const tablesVersion = '1.30.0';

const coremlNotes = [
  'Dynamic shapes fail or cost speed at predict time (onnxruntime#14212, gigastt#43): use the file of fixed shapes.',
];

export const mobileProviders: readonly MobileProvider[] = [
  {
    id: 'coreml-mlprogram',
    name: 'CoreML (MLProgram, iOS 15 or later)',
    platform: 'ios',
    table: coremlMlProgram,
    needsFixedShapes: true,
    maxRank: 5,
    onCpu: false,
    best: 'float16',
    takes: ['float16', 'float32'],
    why: 'The Neural Engine computes in 16-bit floats; the provider has no QuantizeLinear and DequantizeLinear, so a quantized model is cut at each of them.',
    notes: [
      ...coremlNotes,
      'ONNX Runtime 1.30.0 gives wrong float16 results with RequireStaticInputShapes=1 on macOS 15 (onnxruntime#32569): leave that option at 0 and check with the golden test.',
    ],
  },
  {
    id: 'coreml-neuralnetwork',
    name: 'CoreML (NeuralNetwork, iOS 13 or later)',
    platform: 'ios',
    table: coremlNeuralNetwork,
    needsFixedShapes: true,
    maxRank: 5,
    onCpu: false,
    best: 'float32',
    takes: ['float32'],
    why: 'The older format takes 32-bit floats and lets Core ML round them where it runs on GPU or Neural Engine.',
    notes: coremlNotes,
  },
  {
    id: 'nnapi',
    name: 'NNAPI (Android 8.1 to 14)',
    platform: 'android',
    table: nnapi,
    needsFixedShapes: true,
    onCpu: false,
    best: 'int8-qdq',
    takes: ['int8-qdq', 'int8-operators', 'float32'],
    why: 'Its accelerators are built for 8-bit integers; float32 runs too, in 16 bits with the flag USE_FP16.',
    notes: [
      'Google has deprecated NNAPI with Android 15: treat it as a bonus on older devices, never as the only way.',
    ],
  },
  {
    id: 'xnnpack',
    name: 'XNNPACK',
    platform: 'both',
    table: xnnpack,
    takesNode: xnnpackTakes,
    needsFixedShapes: false,
    onCpu: true,
    best: 'float32',
    takes: ['float32', 'int8-qdq', 'int8-operators'],
    why: 'Fast float32 kernels for convolutions and products on Arm; 8-bit ones for the quantized forms of the same.',
    notes: [
      'It has threads of its own: set intra_op_num_threads on the provider and 1 on the session.',
      'Its product of [batch, M, K] with a matrix steps from one batch to the next by M elements instead of M·K (core/providers/xnnpack/math/matmul.cc as read): with a batch above 1 check with the golden test.',
    ],
  },
  {
    id: 'qnn',
    name: 'QNN (Qualcomm Hexagon)',
    platform: 'android',
    table: qnn,
    needsFixedShapes: true,
    onCpu: false,
    best: 'int8-qdq',
    takes: ['int8-qdq', 'float32', 'float16'],
    why: 'The HTP backend computes on 8- and 16-bit integers in QDQ form; float32 models run in 16-bit floats on newer chips (enable_htp_fp16_precision).',
    notes: [
      'Only on Qualcomm chips, from the separate package onnxruntime-android-qnn: keep the CPU as the way that works everywhere.',
      'Unsigned 8-bit activations and weights are what its operators take most widely.',
    ],
  },
];

/** What the artifact computes in. */
export function precisionOf({ ops, weightBytes }: Artifact): Precision {
  const has = (...names: readonly string[]): boolean => names.some((name) => (ops[name] ?? 0) > 0);
  if (has('com.microsoft:MatMulNBits', 'com.microsoft:MatMulBnb4', 'com.microsoft:GatherBlockQuantized'))
    return 'blocks';
  if (has('DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'com.microsoft:DynamicQuantizeMatMul'))
    return 'int8-dynamic';
  if (has('QLinearConv', 'QLinearMatMul')) return 'int8-operators';
  if (has('QuantizeLinear') && has('DequantizeLinear')) return 'int8-qdq';
  const half = (weightBytes?.float16 ?? 0) + (weightBytes?.bfloat16 ?? 0);
  return half > (weightBytes?.float32 ?? 0) ? 'float16' : 'float32';
}

/** How to make a file of a precision from the float32 original. */
export const makeCommand: Readonly<Partial<Record<Precision, string>>> = {
  float32: 'mlpack run model.onnx simplify fuse -o model.fp32.onnx',
  float16: 'mlpack run model.onnx simplify fuse to-fp16 -o model.fp16.onnx',
  'int8-qdq': 'mlpack run model.onnx simplify fuse quantize-static --data eval/ -o model.int8.onnx',
};
