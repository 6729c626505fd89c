import { randomNumbers } from '../../kernels/random.ts';
import { type DType, dtypeBits, dtypeKind } from '../dtype.ts';
import { elementCount, type Tensor } from '../tensor.ts';
import { tensorFromElements } from './elements.ts';

/**
 * Data for tests without writing it out: `random(seed)`, `random(seed, low, high)`, `fill(value)`, `range(start)`,
 * `range(start, step)`. Same text, same bytes, on every machine.
 *
 * random: floats uniform in [−1, 1); signed integers in −8…7, unsigned in 0…15 (cut to the type's range), bools 0 or 1;
 * with bounds: uniform in [low, high), integers low…high−1.
 */
export function filledTensor(
  dtype: DType,
  shape: readonly number[],
  kind: string,
  args: readonly number[],
): Tensor | string {
  const count = elementCount(shape);
  if (dtypeKind(dtype) === 'string' || dtypeKind(dtype) === 'complex') return `${kind}() makes numbers, not ${dtype}`;
  if (kind === 'fill' && args.length === 1)
    return tensorFromElements(
      dtype,
      shape,
      repeat(count, () => args[0] as number),
    );
  if (kind === 'range' && (args.length === 1 || args.length === 2)) {
    const [start = 0, step = 1] = args;
    return tensorFromElements(
      dtype,
      shape,
      repeat(count, (index) => start + index * step),
    );
  }
  if (kind === 'random' && (args.length === 1 || args.length === 3)) {
    const next = randomNumbers(args[0] as number);
    const [low, high] = args.length === 3 ? [args[1] as number, args[2] as number] : bounds(dtype);
    const whole = dtypeKind(dtype) !== 'float';
    return tensorFromElements(
      dtype,
      shape,
      repeat(count, () => {
        const value = low + next() * (high - low);
        return whole ? Math.floor(value) : value;
      }),
    );
  }
  return `unknown fill: use random(seed), random(seed, low, high), fill(value), range(start) or range(start, step)`;
}

function bounds(dtype: DType): [number, number] {
  const half = Math.min(16, 2 ** dtypeBits(dtype)) / 2;
  if (dtypeKind(dtype) === 'int') return [-half, half];
  if (dtypeKind(dtype) === 'uint') return [0, 2 * half];
  return dtypeKind(dtype) === 'bool' ? [0, 2] : [-1, 1];
}

function repeat(count: number, make: (index: number) => number): number[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
