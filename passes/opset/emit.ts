import { type AttrInput, float } from '../../src/ir/attr.ts';
import type { DType } from '../../src/ir/dtype.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { int64Vector, type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import type { Shape } from '../../src/ir/types.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import { addConstant, provenanceKey } from '../../src/rewrite/edit.ts';
import type { ValueTypes } from '../../src/rewrite/rule.ts';

/** Makes nodes in front of one that they replace, in the forms of opset `to`. */
export class Emit {
  readonly node: Node;
  readonly to: number;
  readonly types: ValueTypes;

  constructor(node: Node, to: number, types: ValueTypes) {
    this.node = node;
    this.to = to;
    this.types = types;
  }
  op(name: string, inputs: readonly (Value | undefined)[], attrs: Readonly<Record<string, AttrInput>> = {}): Value {
    const made = this.node.graph.insertBefore(this.node, name, { inputs, attrs });
    const from = this.node.meta?.get(provenanceKey) ?? (this.node.name || this.node.op);
    made.meta = new Map(made.meta).set(provenanceKey, `lower(${from})`);
    return made.output();
  }
  tensor(tensor: Tensor, name = 'constant'): Value {
    return addConstant(this.node, name, tensor);
  }
  ints(...values: number[]): Value {
    return this.tensor(int64Vector(values), 'ints');
  }
  /** One number of an element type. */
  number(value: number, dtype: DType): Value {
    if (dtype === 'float16') return this.tensor(tensorFrom('float16', [], f32ToF16(Float32Array.of(value))), 'number');
    if (dtype === 'float64') return this.tensor(tensorFrom('float64', [], Float64Array.of(value)), 'number');
    return this.tensor(tensorFrom('float32', [], Float32Array.of(value)), 'number');
  }
  /** A mean over axes, kept as 1s. */
  mean(value: Value, axes: readonly number[]): Value {
    if (this.to >= 18) return this.op('ReduceMean', [value, this.ints(...axes)], { keepdims: 1 });
    return this.op('ReduceMean', [value], { axes, keepdims: 1 });
  }
  unsqueeze(value: Value, ...axes: number[]): Value {
    return this.op('Unsqueeze', [value, this.ints(...axes)]);
  }
  slice(value: Value, start: number, end: number, axis: number, step = 1): Value {
    return this.op('Slice', [value, this.ints(start), this.ints(end), this.ints(axis), this.ints(step)]);
  }
  /** Extents `start` up to `end` of a value, as a vector. */
  extents(value: Value, start: number, end: number): Value {
    if (this.to >= 15) return this.op('Shape', [value], { start, end });
    return this.slice(this.op('Shape', [value]), start, end, 0);
  }
  transpose(value: Value, ...perm: number[]): Value {
    return this.op('Transpose', [value], { perm });
  }
  dtype(value: Value | undefined): DType | undefined {
    return this.types.dtypeOf(value);
  }
  shape(value: Value | undefined): Shape | undefined {
    return this.types.shapeOf(value);
  }
  /** x · σ(a · x) */
  swish(x: Value, alpha: number): Value {
    const inner = alpha === 1 ? x : this.op('Mul', [x, this.number(alpha, this.dtype(x) ?? 'float32')]);
    return this.op('Mul', [x, this.op('Sigmoid', [inner])]);
  }
  hardSigmoid(x: Value): Value {
    return this.op('HardSigmoid', [x], { alpha: float(Math.fround(1 / 6)), beta: float(0.5) });
  }
}

/** The values that stand for the node's outputs, by index; a sentence where it cannot be said in older operators. */
export type Lowering = (emit: Emit) => readonly (Value | undefined)[] | string;
