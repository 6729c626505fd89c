import { type CpuProfile, type Reduce, reduceFor, saturates } from '../cpu.ts';
import type { ActivationType } from './given.ts';

/** What runs the file: the CPU provider of ONNX Runtime, or engines that take QDQ files and have kernels of their own. */
export const engines = ['cpu', 'tensorrt', 'qnn'] as const;
export const activationChoices = ['auto', 'u8', 's8', 'u16', 's16'] as const;

/** What runs on integers, of what can. */
export const placements = ['pays', 'may-pay', 'all'] as const;
export type Placement = (typeof placements)[number];

const types: Readonly<Record<string, ActivationType>> = { u8: 'uint8', s8: 'int8', u16: 'uint16', s16: 'int16' };
/** ARM kernels are faster with signed activations, and TensorRT and QNN ask for them. */
const signed: ReadonlySet<string> = new Set(['arm-dot', 'arm']);

interface Choices {
  readonly cpu: CpuProfile;
  readonly engine: (typeof engines)[number];
  readonly activations: (typeof activationChoices)[number];
  readonly symmetric: boolean;
  readonly reduceRange: 'auto' | 'yes' | 'no';
  readonly place: Placement;
}

export interface Profile {
  readonly type: ActivationType;
  readonly symmetric: boolean;
  readonly reduce: Reduce;
  readonly place: Placement;
  readonly cpu: CpuProfile;
  /** Where biases and embedding tables stay: TensorRT dequantizes 8 bits and less, and no int32. */
  readonly floatBias: boolean;
  /** Whether the engine reads QuantizeLinear and DequantizeLinear in ONNX Runtime's own domain too. */
  readonly ownDomain: boolean;
}

export function profileOf({ cpu, engine, activations, symmetric, reduceRange, place }: Choices): Profile {
  const other = engine !== 'cpu';
  const type = activations === 'auto' ? (other || signed.has(cpu) ? 'int8' : 'uint8') : (types[activations] ?? 'uint8');
  const wide = type.endsWith('16');
  // WebAssembly adds in 32 bits, but its files are judged, and their recorded outputs made, on whatever processor this is.
  const threatened = !other && !wide && (saturates(cpu) || cpu === 'wasm');
  return {
    type,
    symmetric: symmetric || engine === 'tensorrt',
    reduce: reduceFor(reduceRange, threatened),
    // What pays was measured on CPUs, with 8 bits.
    place: other || wide ? 'all' : place,
    cpu,
    floatBias: engine === 'tensorrt',
    ownDomain: engine !== 'tensorrt',
  };
}
