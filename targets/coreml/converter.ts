import { UserError } from '../../src/errors.ts';
import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { elementCount, toNumbers } from '../../src/ir/tensor.ts';
import { staticShape, type ValueType } from '../../src/ir/types.ts';
import { identifier, MilGraph, type Ref } from './graph.ts';
import type { MilType } from './schema.ts';

export type Handler = (node: Node, c: Converter) => void;

/** A constant of the model as numbers. */
export interface Constant {
  readonly shape: readonly number[];
  readonly values: Float32Array | Float64Array;
  readonly dtype: string;
}

const floats = new Set(['float32', 'float64', 'float16', 'bfloat16']);
const integers = new Set(['int64', 'int32', 'int16', 'int8', 'uint16', 'uint8']);
/** The largest half. */
const maxHalf = 65_504;

/** Turns a graph of fixed shapes into an ML program, node by node; handlers stand in `ops/`. */
export class Converter {
  readonly mil: MilGraph;
  readonly model: Model;
  /** Names of the model's inputs and outputs in the program, in their order. */
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** What floats are computed in. */
  readonly float: 'fp32' | 'fp16';
  readonly #types: ReadonlyMap<Value, ValueType>;
  readonly #refs = new Map<Value, Ref>();
  readonly #constants = new Map<Value, Constant | undefined>();

  constructor(model: Model, float: 'fp32' | 'fp16') {
    this.model = model;
    this.float = float;
    const taken = new Set<string>();
    const unique = (name: string): string => {
      let free = identifier(name);
      for (let n = 1; taken.has(free); n++) free = `${identifier(name)}_${n}`;
      taken.add(free);
      return free;
    };
    this.inputNames = model.graph.inputs.map(({ name }) => unique(name));
    this.outputNames = model.graph.outputs.map(({ name }) => unique(name));
    this.mil = new MilGraph([...taken]);
    this.#types = inferShapes(model, { write: false }).types;
  }

  fail(node: Node, why: string): never {
    throw new UserError('coreml-unsupported', `${node} cannot become Core ML: ${why}.`);
  }

  // --- what is known of values

  shape(value: Value | undefined): number[] {
    const known = value && this.#types.get(value);
    const shape = staticShape(known?.kind === 'tensor' ? known.shape : value?.shape);
    if (!value || !shape) {
      throw new UserError(
        'coreml-dynamic',
        `The shape of "${value?.name}" (${value?.producer ?? 'an input'}) is not known beforehand; Core ML programs are written with fixed shapes here. Give --input-shape, or data whose shapes are those of the app.`,
      );
    }
    return shape;
  }

  typeOf(value: Value): MilType {
    const dtype = value.dtype ?? '';
    if (floats.has(dtype)) return this.float;
    if (integers.has(dtype)) return 'int32';
    if (dtype === 'bool') return 'bool';
    throw new UserError(
      'coreml-type',
      `"${value.name}" is ${dtype || 'of unknown type'}, which Core ML has no tensors of.`,
    );
  }

  constant(value: Value | undefined): Constant | undefined {
    if (!value) return undefined;
    if (!this.#constants.has(value)) this.#constants.set(value, readConstant(value));
    return this.#constants.get(value);
  }

  /** Numbers of a constant input. */
  numbers(node: Node, index: number, what: string): number[] {
    const constant = this.constant(node.input(index));
    if (!constant) this.fail(node, `${what} is computed, and must be a constant`);
    return [...constant.values];
  }

  // --- values of the program

  /** The program's value for one of the model's; constants are made when they are asked for. */
  ref(value: Value | undefined): Ref {
    const known = value && this.#refs.get(value);
    if (known) return known;
    const constant = this.constant(value);
    if (!value || !constant) throw new UserError('coreml-order', `"${value?.name}" is read before it is made.`);
    const type = this.typeOf(value);
    const ref =
      type === 'fp32' || type === 'fp16'
        ? this.floats(value.name, constant.shape, constant.values)
        : this.#integers(value.name, type, constant);
    this.#refs.set(value, ref);
    return ref;
  }
  in(node: Node, index: number): Ref {
    return this.ref(node.input(index));
  }
  has(node: Node, index: number): boolean {
    return node.input(index) !== undefined;
  }
  put(value: Value, ref: Ref): void {
    this.#refs.set(value, ref);
  }

  #integers(name: string, type: MilType, { shape, values }: Constant): Ref {
    const wide = values.find((value) => value > 2 ** 31 - 1 || value < -(2 ** 31));
    if (wide !== undefined) {
      throw new UserError('coreml-type', `The constant "${name}" holds ${wide}; Core ML's integers have 32 bits.`);
    }
    return this.mil.constant(name, type, shape, Int32Array.from(values));
  }

  // --- constants of parameters

  /** In halves, what is larger than the largest half becomes that: masks of −3.4e38 stay masks. */
  floats(name: string, shape: readonly number[], values: Iterable<number>): Ref {
    const clamp = (value: number): number =>
      this.float === 'fp16' && Number.isFinite(value) ? Math.min(Math.max(value, -maxHalf), maxHalf) : value;
    return this.mil.constant(name, this.float, shape, Float32Array.from(values, clamp));
  }
  scalar(value: number): Ref {
    return this.floats('number', [], [value]);
  }
  ints(values: readonly number[]): Ref {
    return this.mil.constant('ints', 'int32', [values.length], Int32Array.from(values));
  }
  int(value: number): Ref {
    return this.mil.constant('int', 'int32', [], Int32Array.of(value));
  }
  bool(value: boolean): Ref {
    return this.mil.constant('flag', 'bool', [], Int32Array.of(value ? 1 : 0));
  }
  bools(values: readonly boolean[]): Ref {
    return this.mil.constant('flags', 'bool', [values.length], Int32Array.from(values, Number));
  }
  text(value: string): Ref {
    return this.mil.constant('text', 'string', [], value);
  }
  /** Added to variances: below the least half it would be lost. */
  epsilon(value: number): Ref {
    return this.scalar(this.float === 'fp16' ? Math.max(value, 2 ** -24) : value);
  }

  // --- operations

  /** One operation with one output; `shape` and `type` are those of the output. */
  op(
    type: string,
    inputs: Readonly<Record<string, Ref | readonly Ref[] | undefined>>,
    out: { readonly name: string; readonly shape: readonly number[]; readonly type: MilType },
  ): Ref {
    return this.mil.op(type, inputs, [out])[0] as Ref;
  }
  /** The operation that gives the node's output. */
  emit(node: Node, type: string, inputs: Readonly<Record<string, Ref | readonly Ref[] | undefined>>): void {
    const value = node.output();
    const out = { name: value.name, shape: this.shape(value), type: this.typeOf(value) };
    this.put(value, this.op(type, inputs, out));
  }

  cast(x: Ref, type: MilType): Ref {
    if (x.type === type) return x;
    if (x.data !== undefined && typeof x.data !== 'string' && type !== 'bool' && type !== 'string') {
      if (type === 'int32') return this.mil.constant(x.name, type, x.shape, Int32Array.from(x.data));
      if (type === this.float) return this.floats(x.name, x.shape, x.data);
      return this.mil.constant(x.name, type, x.shape, Float32Array.from(x.data));
    }
    return this.op('cast', { x, dtype: this.text(type) }, { name: x.name, shape: x.shape, type });
  }
  reshape(x: Ref, shape: readonly number[]): Ref {
    if (x.shape.join() === shape.join() && x.shape.length === shape.length) return x;
    const out = { name: x.name, shape, type: x.type };
    // A scalar has no shape that could be asked for.
    if (shape.length === 0) return this.op('squeeze', { x: this.reshape(x, [1]), axes: this.ints([0]) }, out);
    if (x.shape.length === 0) return this.op('expand_dims', { x, axes: this.ints(shape.map((_, i) => i)) }, out);
    return this.op('reshape', { x, shape: this.ints(shape) }, out);
  }
  transpose(x: Ref, perm: readonly number[]): Ref {
    if (perm.every((axis, i) => axis === i)) return x;
    const shape = perm.map((axis) => x.shape[axis] ?? 1);
    return this.op('transpose', { x, perm: this.ints(perm) }, { name: x.name, shape, type: x.type });
  }
  /** Repeats axes of one element until the shape is reached. */
  broadcast(x: Ref, shape: readonly number[]): Ref {
    const wide = this.reshape(x, [...Array<number>(shape.length - x.shape.length).fill(1), ...x.shape]);
    const reps = shape.map((dim, axis) => (wide.shape[axis] === dim ? 1 : dim));
    if (reps.every((rep) => rep === 1)) return wide;
    return this.op('tile', { x: wide, reps: this.ints(reps) }, { name: x.name, shape, type: x.type });
  }
  /** Result of two values that broadcast. */
  binary(type: string, x: Ref, y: Ref, name: string): Ref {
    return this.op(type, { x, y }, { name, shape: this.binaryShape(x.shape, y.shape), type: x.type });
  }
  binaryShape(x: readonly number[], y: readonly number[]): number[] {
    const rank = Math.max(x.length, y.length);
    const [a, b] = [x, y].map((shape) => [...Array<number>(rank - shape.length).fill(1), ...shape]) as [
      number[],
      number[],
    ];
    return a.map((dim, axis) => (dim === 1 ? (b[axis] ?? 1) : dim));
  }
  /** Elements of one axis by constant index. */
  choose(x: Ref, axis: number, indices: readonly number[]): Ref {
    const shape = x.shape.map((dim, at) => (at === axis ? indices.length : dim));
    const out = { name: x.name, shape, type: x.type };
    return this.op('gather', { x, indices: this.ints(indices), axis: this.int(axis) }, out);
  }
}

function readConstant(value: Value): Constant | undefined {
  const node = value.producer;
  if (node?.is('DequantizeLinear')) return dequantized(node);
  const tensor = constantOf(value);
  if (!tensor) return undefined;
  const { dtype, shape } = tensor;
  if (dtype === 'float32') return { shape, values: new Float32Array(tensor.bytes().slice().buffer), dtype };
  const numbers = toNumbers(tensor);
  return numbers && { shape, values: Float64Array.from(numbers), dtype };
}

/** Weights that are stored in 8 bits: Core ML computes in floats. */
function dequantized(node: Node): Constant | undefined {
  const [x, scale, zero] = [0, 1, 2]
    .map((i) => node.input(i))
    .map((input) => (input ? readConstant(input) : undefined));
  if (!x || !scale || (node.input(2) && !zero) || node.int('block_size', 0) !== 0) return undefined;
  const count = scale.values.length;
  const axis = count === 1 ? 0 : (node.int('axis', 1) + x.shape.length) % x.shape.length;
  const inner = elementCount(x.shape.slice(axis + 1));
  const values = x.values.map((stored, at) => {
    const c = count === 1 ? 0 : Math.floor(at / inner) % count;
    return Math.fround((stored - (zero?.values[zero.values.length === 1 ? 0 : c] ?? 0)) * (scale.values[c] ?? 0));
  });
  return { shape: x.shape, values, dtype: 'float32' };
}
