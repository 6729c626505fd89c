import { equalShapes } from '../../src/ir/dim.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { byteSize } from '../../src/ir/dtype.ts';
import type { Value } from '../../src/ir/graph.ts';
import type { Data } from '../../src/ir/infer/data.ts';
import type { Inferred } from '../../src/ir/infer/infer.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { type Shape, staticShape, type ValueType } from '../../src/ir/types.ts';

/**
 * What inference found about the values of a model. Types that the model declares are believed only where inference is
 * silent: exporters declare shapes that do not hold.
 */
export class Known {
  readonly #inferred: Inferred | undefined;
  readonly #added = new Map<Value, ValueType>();

  constructor(inferred?: Inferred) {
    this.#inferred = inferred;
  }
  type(value: Value | undefined): ValueType | undefined {
    if (!value) return undefined;
    return this.#inferred?.types.get(value) ?? this.#added.get(value) ?? value.type;
  }
  /** Element type and shape of tensors; constants know theirs. */
  dtype(value: Value | undefined): DType | undefined {
    const type = this.type(value);
    return type?.kind === 'tensor' ? type.dtype : value?.initializer?.dtype;
  }
  shape(value: Value | undefined): Shape | undefined {
    const type = this.type(value);
    return type?.kind === 'tensor' && type.shape ? type.shape : value?.initializer?.shape;
  }
  rank(value: Value | undefined): number | undefined {
    return this.shape(value)?.length;
  }
  /** The elements of a small integer tensor, numbers or symbolic. */
  data(value: Value | undefined): Data | undefined {
    return value && this.#inferred?.data.get(value);
  }
  /** Equal for every binding of the symbols. */
  sameShape(a: Value | undefined, b: Value | undefined): boolean {
    return equalShapes(this.shape(a), this.shape(b));
  }
  /** Bytes of a value with a fixed shape. */
  bytes(value: Value): number | undefined {
    const shape = staticShape(this.shape(value));
    const dtype = this.dtype(value);
    return shape && dtype ? byteSize(dtype, elementCount(shape)) : undefined;
  }
  /** The type of `value` with another shape. */
  typeWith(value: Value, shape: Shape): ValueType | undefined {
    const dtype = this.dtype(value);
    return dtype && { kind: 'tensor', dtype, shape };
  }
  /** `made`, a new value, is what `like` was. */
  note(made: Value, like: Value): void {
    const type = this.type(like);
    if (type) this.#added.set(made, type);
  }
}
