import { UserError } from '../../src/errors.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import { staticShape, type ValueType } from '../../src/ir/types.ts';
import { type Constant, readConstant } from './constant.ts';
import { type ConstData, LiteGraph, type LiteOp, type LiteTensor, type Quant } from './graph.ts';
import { inverse, lastPerm, memoryOrder, permuted } from './order.ts';
import { type Activation, activations, type OpName, type TensorType, tensorTypes } from './schema.ts';

/** Order of axes in memory: as the model has it, or channels last (NHWC for NCHW, NLC for NCL). */
export type Layout = 'plain' | 'last';

/** What became of a value of the model: tensors that hold it, by layout, and how to make the others. */
export interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
  readonly quant?: Quant | undefined;
  readonly forms: Map<Layout, number>;
  /** A rearrangement of another value's elements, not made before somebody asks. */
  readonly moved?: Moved | undefined;
  /** The 8-bit value that it is the real form of. */
  readonly stored?: Entry | undefined;
}

export interface Moved {
  readonly source: Entry;
  /** Element of the source (plain order) for each element. */
  index(): Int32Array;
  /** The operator that does it, on plain tensors. */
  lower(source: number): number;
}

export type Handler = (node: Node, c: Converter) => void;

/** Turns a graph of fixed shapes into a TensorFlow Lite graph, node by node; handlers stand in `ops/`. */
export class Converter {
  readonly lite = new LiteGraph();
  readonly model: Model;
  /** Type of 8-bit activations: uint8 where weights have zero points that int8 kernels do not take. */
  readonly storage: 'int8' | 'uint8';
  /** What inference says, where outputs are declared with open dimensions. */
  readonly #types: ReadonlyMap<Value, ValueType>;
  readonly #entries = new Map<Value, Entry>();
  readonly #constants = new Map<Value, Constant | undefined>();
  readonly #done = new Set<Node>();

  constructor(model: Model, storage: 'int8' | 'uint8') {
    this.model = model;
    this.storage = storage;
    this.#types = inferShapes(model, { write: false }).types;
  }

  fail(node: Node, why: string): never {
    throw new UserError('tflite-unsupported', `${node} cannot become TensorFlow Lite: ${why}.`);
  }

  done(node: Node): boolean {
    return this.#done.has(node);
  }
  finish(node: Node): void {
    this.#done.add(node);
  }

  // --- values

  shape(value: Value | undefined): number[] {
    const known = value && this.#types.get(value);
    const shape = staticShape(known?.kind === 'tensor' ? known.shape : value?.shape);
    if (!value || !shape) {
      throw new UserError(
        'tflite-dynamic',
        `The shape of "${value?.name}" (${value?.producer ?? 'an input'}) is not known beforehand; TensorFlow Lite needs fixed shapes. Give --input-shape, or data whose shapes are those of the app.`,
      );
    }
    return shape;
  }

  typeOf(value: Value): TensorType {
    const { dtype } = value;
    if (dtype !== undefined && dtype in tensorTypes) return dtype as TensorType;
    throw new UserError('tflite-type', `"${value.name}" is ${dtype}, which TensorFlow Lite has no kernels for.`);
  }

  /** What became of a value; constants are made when they are asked for. */
  entry(value: Value): Entry {
    const known = this.#entries.get(value);
    if (known) return known;
    const constant = this.constant(value);
    if (!constant) throw new UserError('tflite-order', `"${value.name}" is read before it is made.`);
    const at = this.literal(value.name, constant);
    const entry = {
      name: value.name,
      shape: constant.shape,
      type: this.lite.tensors[at]?.type ?? 'float32',
      forms: new Map([['plain' as Layout, at]]),
    };
    this.#entries.set(value, entry);
    return entry;
  }
  has(value: Value): boolean {
    return this.#entries.has(value);
  }
  set(value: Value, entry: Entry): void {
    this.#entries.set(value, entry);
  }
  /** Registers the result of a node. */
  put(value: Value, layout: Layout, tensor: number): void {
    const { quant, type } = this.lite.tensors[tensor] as LiteTensor;
    this.set(value, { name: value.name, shape: this.shape(value), type, quant, forms: new Map([[layout, tensor]]) });
  }

  /** A tensor that holds the value in this order of axes; transposes where there is none yet. */
  get(entry: Entry, layout: Layout): number {
    const known = entry.forms.get(layout);
    if (known !== undefined) return known;
    const made = this.#make(entry, layout);
    entry.forms.set(layout, made);
    return made;
  }

  #make(entry: Entry, layout: Layout): number {
    if (entry.stored) return this.#dequantize(entry, layout);
    if (entry.moved) {
      const made = this.#makeMoved(entry, entry.moved, layout);
      if (made !== undefined) return made;
      if (layout === 'plain') return entry.moved.lower(this.get(entry.moved.source, 'plain'));
    }
    const perm = lastPerm(entry.shape.length);
    const [from, axes] =
      layout === 'last' ? [this.get(entry, 'plain'), perm] : [this.get(entry, 'last'), inverse(perm)];
    return this.transpose(entry.name, from, axes);
  }

  #dequantize(entry: Entry, layout: Layout): number {
    const stored = entry.stored as Entry;
    const from = this.get(stored, layout);
    return this.lite.op('DEQUANTIZE', [from], {
      name: entry.name,
      shape: this.lite.tensors[from]?.shape ?? [],
      type: 'float32',
    });
  }

  /** A rearrangement without a transpose: the elements may lie right already, or be a choice of channels. */
  #makeMoved(entry: Entry, moved: Moved, layout: Layout): number | undefined {
    const lying = this.#liesAs(entry, moved, layout);
    if (lying !== undefined) {
      const shape = layout === 'last' ? permuted(entry.shape, lastPerm(entry.shape.length)) : entry.shape;
      return this.reshape(entry.name, lying, shape);
    }
    if (layout === 'plain') return undefined;
    const { root, index } = rootOf(moved);
    return this.#channelChoice(entry, root, index);
  }

  /** A tensor in whose memory the elements lie in just the order of `layout`, whatever its shape. */
  #liesAs(entry: Entry, moved: Moved, layout: Layout): number | undefined {
    const { root, index } = rootOf(moved);
    if (index.length !== elementCount(root.shape) || (layout === 'last' && entry.shape.length < 3)) return undefined;
    const own = layout === 'last' ? memoryOrder(entry.shape) : undefined;
    for (const [form, tensor] of root.forms) {
      const there = form === 'last' ? memoryOrder(root.shape) : undefined;
      const lies = index.every((element, at) => (there ? there[element] : element) === (own ? own[at] : at));
      if (lies) return tensor;
    }
    return undefined;
  }

  #channelChoice(entry: Entry, root: Entry, index: Int32Array): number | undefined {
    const [n = 1, channels = 1, ...space] = entry.shape;
    const [rootN, rootChannels = 1, ...rootSpace] = root.shape;
    if (entry.shape.length < 3 || root.shape.length !== entry.shape.length) return undefined;
    if (n !== rootN || space.join() !== rootSpace.join() || !root.forms.has('last')) return undefined;
    const area = elementCount(space);
    const chosen = Array.from({ length: channels }, (_, c) => Math.floor((index[c * area] ?? 0) / area));
    const isChoice = index.every((element, at) => {
      const batch = Math.floor(at / (channels * area));
      const c = Math.floor(at / area) % channels;
      return element === (batch * rootChannels + (chosen[c] ?? 0)) * area + (at % area);
    });
    if (!isChoice) return undefined;
    return this.choose(entry.name, this.get(root, 'last'), entry.shape.length - 1, chosen);
  }

  /** The layout that costs no transpose; channels last where both are there. */
  preferred(entry: Entry): Layout {
    if (entry.stored) return this.preferred(entry.stored);
    if (entry.forms.has('last')) return 'last';
    if (entry.forms.has('plain') || !entry.moved) return 'plain';
    const { root, index } = rootOf(entry.moved);
    if (this.#liesAs(entry, entry.moved, 'plain') !== undefined) return 'plain';
    if (this.#liesAs(entry, entry.moved, 'last') !== undefined) return 'last';
    return root.forms.has('last') && this.#isChannelChoice(entry, root, index) ? 'last' : 'plain';
  }
  #isChannelChoice(entry: Entry, root: Entry, index: Int32Array): boolean {
    const [, channels = 1, ...space] = entry.shape;
    if (
      entry.shape.length < 3 ||
      root.shape.length !== entry.shape.length ||
      space.join() !== root.shape.slice(2).join()
    )
      return false;
    const area = elementCount(space);
    const rootChannels = root.shape[1] ?? 1;
    return index.every((element, at) => {
      const batch = Math.floor(at / (channels * area));
      const first = index[(Math.floor(at / area) % channels) * area] ?? 0;
      return element === (batch * rootChannels + Math.floor(first / area)) * area + (at % area);
    });
  }

  // --- constants

  /** The value as a constant, also behind a DequantizeLinear. */
  constant(value: Value | undefined): Constant | undefined {
    if (!value) return undefined;
    if (!this.#constants.has(value)) this.#constants.set(value, readConstant(value));
    return this.#constants.get(value);
  }
  numbers(node: Node, index: number, what: string): number[] {
    const constant = this.constant(node.input(index));
    if (!constant) this.fail(node, `${what} is computed, and must be a constant`);
    return Array.from(constant.values);
  }
  literal(name: string, { shape, values, dtype }: Constant): number {
    const data: ConstData =
      dtype === 'int64'
        ? BigInt64Array.from(values, (value) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value)))
        : dtype === 'bool' || dtype === 'uint8'
          ? Uint8Array.from(values)
          : dtype === 'int8'
            ? Int8Array.from(values)
            : values instanceof Float64Array
              ? Int32Array.from(values)
              : values;
    return this.lite.constant(name, shape, data, undefined, dtype === 'bool' ? 'bool' : undefined);
  }
  floats(name: string, shape: readonly number[], values: readonly number[] | Float32Array): number {
    return this.lite.constant(name, shape, Float32Array.from(values));
  }

  /** One number of this type. */
  scalar(name: string, type: TensorType, value: number, shape: readonly number[] = []): number {
    if (type === 'float32') return this.floats(name, shape, [value]);
    return this.literal(name, { shape, values: Float64Array.of(value), dtype: type });
  }

  // --- operators that many need

  /** Shape and type of a tensor there is. */
  of(tensor: number): LiteTensor {
    return this.lite.tensors[tensor] as LiteTensor;
  }
  op(code: OpName, inputs: readonly number[], output: Omit<LiteTensor, 'data'>, options?: LiteOp['options']): number {
    return this.lite.op(code, inputs, output, options);
  }
  transpose(name: string, from: number, axes: readonly number[]): number {
    const { shape, type, quant } = this.of(from);
    const to = permuted(shape, axes);
    // Axes of one element may be anywhere: where the others keep their order, nothing moves.
    const moving = axes.filter((axis) => shape[axis] !== 1);
    if (moving.every((axis, i) => i === 0 || axis > (moving[i - 1] ?? 0))) return this.reshape(name, from, to);
    return this.op('TRANSPOSE', [from, this.lite.ints('perm', axes)], { name, shape: to, type, quant });
  }
  reshape(name: string, from: number, shape: readonly number[]): number {
    const { type, quant, shape: given } = this.of(from);
    if (given.join() === shape.join()) return from;
    const options = { type: 'ReshapeOptions', value: { new_shape: shape } };
    return this.op('RESHAPE', [from, this.lite.ints('shape', shape)], { name, shape, type, quant }, options);
  }
  /** Indices of one axis: a slice where they step evenly, else a gather. */
  choose(name: string, from: number, axis: number, chosen: readonly number[]): number {
    const { shape, type, quant } = this.of(from);
    const to = shape.map((dim, at) => (at === axis ? chosen.length : dim));
    const step = chosen.length > 1 ? (chosen[1] ?? 0) - (chosen[0] ?? 0) : 1;
    if (step > 0 && chosen.every((at, i) => at === (chosen[0] ?? 0) + i * step)) {
      if (step === 1 && chosen.length === shape[axis]) return from;
      const begin = shape.map((_, at) => (at === axis ? (chosen[0] ?? 0) : 0));
      const end = shape.map((dim, at) => (at === axis ? (chosen.at(-1) ?? 0) + 1 : dim));
      return this.slice(name, from, { begin, end, steps: shape.map((_, at) => (at === axis ? step : 1)), shape: to });
    }
    const options = { type: 'GatherOptions', value: { axis } };
    return this.op('GATHER', [from, this.lite.ints('indices', chosen)], { name, shape: to, type, quant }, options);
  }
  slice(
    name: string,
    from: number,
    {
      begin,
      end,
      steps,
      shape,
    }: { begin: readonly number[]; end: readonly number[]; steps: readonly number[]; shape: readonly number[] },
  ): number {
    const { type, quant } = this.of(from);
    const ints = (label: string, values: readonly number[]): number => this.lite.ints(label, values);
    const inputs = [from, ints('begin', begin), ints('end', end), ints('strides', steps)];
    return this.op('STRIDED_SLICE', inputs, { name, shape, type, quant }, { type: 'StridedSliceOptions', value: {} });
  }
  /** Rows of [before, after] by axis of the tensor; `value` undefined pads with zero (for 8 bits: the zero point). */
  pad(name: string, from: number, rows: readonly (readonly [number, number])[], value?: number): number {
    if (rows.every(([a, b]) => a === 0 && b === 0)) return from;
    const { shape, type, quant } = this.of(from);
    const to = shape.map((dim, axis) => dim + (rows[axis]?.[0] ?? 0) + (rows[axis]?.[1] ?? 0));
    const pads = this.lite.ints('pads', rows.flat(), [rows.length, 2]);
    if (value === undefined || value === 0) return this.op('PAD', [from, pads], { name, shape: to, type, quant });
    const fill = quant
      ? this.lite.constant('fill', [1], type === 'int8' ? Int8Array.of(value) : Uint8Array.of(value), quant)
      : this.scalar('fill', type, value, [1]);
    return this.op('PADV2', [from, pads, fill], { name, shape: to, type, quant });
  }
  activation(kind: Activation): number {
    return activations[kind];
  }
}

/** The value behind a chain of rearrangements that is itself none, and where each element comes from. */
export function rootOf(moved: Moved): { root: Entry; index: Int32Array } {
  let { source: root } = moved;
  let index = moved.index();
  while (root.moved && !root.forms.has('last') && !root.forms.has('plain')) {
    const below = root.moved.index();
    index = index.map((at) => below[at] ?? 0);
    root = root.moved.source;
  }
  return { root, index };
}
