import { jsonData } from './number-bytes.ts';
import type { GoldenTensor } from './target.ts';

interface Signature {
  readonly inputs: readonly { readonly shape: readonly (number | string | null)[] | null }[];
  readonly outputs: readonly { readonly shape: readonly (number | string | null)[] | null }[];
}

/** Whether a row of the first dimension is a sample by itself: everywhere that dimension varies. */
export function takesRows({ inputs, outputs }: Signature): boolean {
  return [...inputs, ...outputs].every(
    ({ shape }) => shape !== null && shape.length > 0 && typeof shape[0] !== 'number',
  );
}

/** One row of every input, nested as its shape; all of it where there are no rows. */
export function rowOf(inputs: readonly GoldenTensor[], row: number | undefined): Record<string, unknown> {
  return Object.fromEntries(
    inputs.map((tensor) => {
      const shape = row === undefined ? tensor.shape : tensor.shape.slice(1);
      const size = shape.reduce((product, dim) => product * dim, 1);
      const values = jsonData(tensor);
      return [tensor.name, nest(row === undefined ? values : values.slice(row * size, (row + 1) * size), shape)];
    }),
  );
}

/** Lists in lists by the shape; a dimension of 0 ends in empty ones. */
function nest(values: readonly unknown[], [dim, ...inner]: readonly number[]): unknown {
  if (dim === undefined) return values[0];
  const size = inner.reduce((product, one) => product * one, 1);
  return Array.from({ length: dim }, (_, i) => nest(values.slice(i * size, (i + 1) * size), inner));
}
