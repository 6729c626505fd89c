import { constantOf } from '../../../src/ir/constant.ts';
import type { DType } from '../../../src/ir/dtype.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import type { Shape, ValueType } from '../../../src/ir/types.ts';

/** Type of a tensor's elements, `other` for sequences, optionals and maps; undefined when nothing is known. */
export type ElementType = DType | 'other' | undefined;

/**
 * Element types and shapes of the values of the main graph and its subgraphs as they are now: inferred, else declared. Leaves
 * the model alone. Expects graphs in topological order.
 */
export class ElementTypes {
  readonly #types: ReadonlyMap<Value, ValueType>;

  constructor(model: Model) {
    this.#types = inferShapes(model, { write: false }).types;
  }
  of(value: Value | undefined): ElementType {
    if (!value) return undefined;
    const type = this.#types.get(value) ?? value.type;
    if (type) return type.kind === 'tensor' ? type.dtype : 'other';
    return value.initializer?.dtype ?? constantOf(value)?.dtype;
  }
  isFloat32(value: Value | undefined): boolean {
    return this.of(value) === 'float32';
  }
  shapeOf(value: Value | undefined): Shape | undefined {
    const type = value && this.#types.get(value);
    return type?.kind === 'tensor' ? type.shape : value?.shape;
  }
}

/** Attributes that carry the type of the outputs, with the type where the attribute is missing (`input`: that of the first input). */
export const typeAttributes: Readonly<Record<string, { readonly name: string; readonly default: DType | 'input' }>> = {
  Cast: { name: 'to', default: 'float32' },
  BitCast: { name: 'to', default: 'float32' },
  RandomNormal: { name: 'dtype', default: 'float32' },
  RandomUniform: { name: 'dtype', default: 'float32' },
  RandomNormalLike: { name: 'dtype', default: 'input' },
  RandomUniformLike: { name: 'dtype', default: 'input' },
  Bernoulli: { name: 'dtype', default: 'input' },
  EyeLike: { name: 'dtype', default: 'input' },
  BlackmanWindow: { name: 'output_datatype', default: 'float32' },
  HammingWindow: { name: 'output_datatype', default: 'float32' },
  HannWindow: { name: 'output_datatype', default: 'float32' },
  MelWeightMatrix: { name: 'output_datatype', default: 'float32' },
};
