import { UserError } from '../../../src/errors.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { f16ToF32, f32ToF16 } from '../../../src/kernels/f16.ts';
import type { MilType } from '../schema.ts';

export type Numbers = Float32Array | Float64Array | Int32Array;

/** A tensor in memory; truth values are 0 and 1. */
export interface Held {
  readonly shape: readonly number[];
  readonly values: Numbers;
}

/** What an operation reads, by parameter. */
export class Parameters {
  readonly #held: Readonly<Record<string, readonly (Held | string)[]>>;

  constructor(held: Readonly<Record<string, readonly (Held | string)[]>>) {
    this.#held = held;
  }

  tensor(name: string): Held {
    const held = this.#held[name]?.[0];
    if (held === undefined || typeof held === 'string')
      throw new UserError('coreml-kernel', `An operation lacks its parameter ${name}.`);
    return held;
  }
  list(name: string): readonly Held[] {
    return (this.#held[name] ?? []) as readonly Held[];
  }
  optional(name: string): Held | undefined {
    return this.#held[name] ? this.tensor(name) : undefined;
  }
  ints(name: string, fallback: readonly number[]): readonly number[] {
    const held = this.optional(name);
    return held ? Array.from(held.values) : fallback;
  }
  number(name: string, fallback: number): number {
    return this.optional(name)?.values[0] ?? fallback;
  }
  flag(name: string): boolean {
    return this.number(name, 0) !== 0;
  }
  text(name: string, fallback: string): string {
    const held = this.#held[name]?.[0];
    return typeof held === 'string' ? held : fallback;
  }
}

/** One result, or several. */
export type Kernel = (p: Parameters) => Held | readonly Held[];

export function take({ values }: Held, index: Int32Array): Float64Array {
  return Float64Array.from(index, (at) => values[at] ?? 0);
}

/** [elements before the axis, along it, behind it] */
export function around(shape: readonly number[], axis: number): [number, number, number] {
  return [elementCount(shape.slice(0, axis)), shape[axis] ?? 1, elementCount(shape.slice(axis + 1))];
}

/** As the type of the result holds it. */
export function rounded(type: MilType, values: Numbers): Numbers {
  if (type === 'fp32') return values instanceof Float32Array ? values : Float32Array.from(values);
  if (type === 'fp16') return f16ToF32(f32ToF16(Float32Array.from(values)));
  return values instanceof Int32Array ? values : Int32Array.from(values);
}
