import { cpuKernels } from './cpu-kernels.ts';

const short: Readonly<Record<string, string>> = {
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  float64: 'f64',
  int8: 's8',
  uint8: 'u8',
  int16: 's16',
  uint16: 'u16',
  int32: 's32',
  uint32: 'u32',
  int64: 's64',
  uint64: 'u64',
  int4: 's4',
  uint4: 'u4',
  bool: 'bool',
};

/** Operator (`Conv`, `com.microsoft.MatMulNBits`) → constraint → types. */
let parsed: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> | undefined;

function table(): ReadonlyMap<string, ReadonlyMap<string, readonly string[]>> {
  parsed ??= new Map(
    cpuKernels
      .trim()
      .split('\n')
      .map((line) => {
        const [op = '', ...constraints] = line.split(' ');
        const types = constraints.map((text) => {
          const [name = '', list = ''] = text.split('=');
          return [name, list.split(',')] as const;
        });
        return [op, new Map(types)] as const;
      }),
  );
  return parsed;
}

/**
 * Whether ONNX Runtime's CPU provider has a kernel of the operator whose first type constraint takes this element type; undefined
 * for operators that it does not have at all, or that have no constraint.
 */
export function hasCpuKernel(op: string, dtype: string): boolean | undefined {
  const [types] = table().get(op)?.values() ?? [];
  return types?.includes(short[dtype] ?? dtype);
}
