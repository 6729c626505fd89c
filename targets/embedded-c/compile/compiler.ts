import { constantOf as knownConstant } from '../../../src/ir/constant.ts';
import type { Graph, Node, Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { dequantize } from './constants.ts';
import {
  type Block,
  CannotCompile,
  type CType,
  cannot,
  countOf,
  cTypes,
  floatLiteral,
  type Ref,
  type Step,
  sizeOf,
} from './types.ts';

/** A value that is not in memory: each element is computed where it is read. */
export interface Lazy {
  readonly type: CType;
  readonly shape: readonly number[];
  /** Tensors it reads, in the shape of the value or broadcast to it. */
  readonly leaves: readonly Ref[];
  /** How large the expression is, in operators. */
  readonly weight: number;
  /** @param read the element of a leaf */
  text(read: (leaf: Ref) => string): string;
}

/** A tensor of 8-bit numbers that stands for real ones: (q − zeroPoint) · scale. */
export interface Quantized {
  readonly ref: Ref;
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Gathers steps, memory and constants while the nodes of a graph are compiled one after the other. */
export class Compiler {
  readonly steps: Step[] = [];
  readonly constants: { readonly block: Block; readonly bytes: Uint8Array }[] = [];
  /** Names of the C functions that the steps call. */
  readonly kernels = new Set<string>();
  /** Nodes that another node's step does along with its own work. */
  readonly done = new Set<Node>();
  readonly #graph: Graph;
  readonly #refs = new Map<Value, Ref>();
  readonly #lazy = new Map<Value, Lazy>();
  readonly #quantized = new Map<Value, Quantized>();
  readonly #known = new Map<string, Ref>();
  #blocks = 0;

  constructor(graph: Graph) {
    this.#graph = graph;
    for (const [at, value] of graph.inputs.entries()) {
      if (value.initializer) continue;
      this.#refs.set(value, this.#fixed(value, 'input', `in${at}`));
    }
  }

  /** Every graph input that the caller gives, in order. */
  get inputs(): readonly { readonly value: Value; readonly ref: Ref }[] {
    return this.#graph.inputs.flatMap((value) => {
      const ref = this.#refs.get(value);
      return ref?.block.kind === 'input' ? [{ value, ref }] : [];
    });
  }

  /** @throws CannotCompile for an open shape or a type without a C form. */
  typeOf(value: Value): { type: CType; shape: readonly number[] } {
    const { dtype, shape } = value;
    if (!dtype || !shape || !shape.every((dim) => typeof dim === 'number'))
      throw new CannotCompile(
        `The shape of "${value.name}" is not known before the model runs ([${(shape ?? []).map((dim) => dim ?? '?').join(', ')}]); fix the inputs with --input-shape.`,
      );
    const type = cTypes[dtype];
    if (type === undefined)
      throw new CannotCompile(`"${value.name}" is ${dtype}, which the generated code has no type for.`);
    return { type, shape };
  }

  #fixed(value: Value, kind: 'input' | 'output', name: string): Ref {
    const { type, shape } = this.typeOf(value);
    return { block: this.#block(countOf(shape) * sizeOf(type), kind, name), type, shape };
  }

  #block(bytes: number, kind: Block['kind'], name = ''): Block {
    return { id: this.#blocks++, bytes, kind, name };
  }

  /** Memory for one step alone. */
  scratch(bytes: number): Block {
    return this.#block(bytes, 'arena');
  }

  input(node: Node, index: number): Value {
    return node.inputs[index] ?? cannot(node, `input ${index} is missing`);
  }

  /** A value in memory; computes it now where it was left for later. */
  ref(value: Value): Ref {
    const known = this.#refs.get(value);
    if (known) return known;
    const constant = this.constantOf(value);
    if (constant) return this.remember(value, this.constant(constant));
    const lazy = this.#lazy.get(value) ?? this.lazyQuantized(value);
    if (!lazy) throw new CannotCompile(`"${value.name}" is read before it is computed.`);
    return this.store(value, lazy);
  }

  remember(value: Value, ref: Ref): Ref {
    this.#refs.set(value, ref);
    return ref;
  }

  /** Memory for a value that a step is about to write. */
  define(value: Value): Ref {
    const { type, shape } = this.typeOf(value);
    return this.remember(value, { block: this.#block(countOf(shape) * sizeOf(type), 'arena'), type, shape });
  }

  /** The same memory under another shape. */
  view(value: Value, of: Value): void {
    const quantized = this.#quantized.get(of);
    const { shape } = this.typeOf(value);
    if (quantized && !this.#refs.has(of)) {
      this.#quantized.set(value, { ...quantized, ref: { ...quantized.ref, shape } });
      return;
    }
    const { block, type } = this.ref(of);
    this.remember(value, { block, type, shape });
  }

  /** Data known now: constants, and constants that are only quantized. */
  constantOf(value: Value | undefined): Tensor | undefined {
    if (!value) return undefined;
    const constant = knownConstant(value);
    if (constant) return constant;
    const node = value.producer;
    return node?.is('DequantizeLinear') ? dequantize(node, (one) => this.constantOf(one)) : undefined;
  }

  /** A constant's elements as numbers. @throws CannotCompile where it is none. */
  numbers(node: Node, index: number): Float32Array | undefined {
    const value = node.inputs[index];
    if (!value) return undefined;
    const tensor = this.constantOf(value) ?? cannot(node, `"${value.name}" must be a constant`);
    return tensor.dtype === 'float32'
      ? typedArray(tensor, 'float32')
      : cannot(node, `"${value.name}" is ${tensor.dtype}`);
  }

  constant(tensor: Tensor): Ref {
    const type = cTypes[tensor.dtype];
    if (type === undefined)
      throw new CannotCompile(`A constant is ${tensor.dtype}, which the generated code has no type for.`);
    return this.bytes(type, tensor.shape, tensor.bytes());
  }

  floats(values: Float32Array, shape: readonly number[] = [values.length]): Ref {
    return this.constant(tensorFrom('float32', shape, values));
  }

  /** A constant of the program; equal ones are one. */
  bytes(type: CType, shape: readonly number[], bytes: Uint8Array): Ref {
    const key = `${type} ${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')}`;
    const known = this.#known.get(key);
    if (known) return { ...known, shape };
    const block = this.#block(bytes.byteLength, 'constant', `w${this.constants.length}`);
    this.constants.push({ block, bytes });
    const ref = { block, type, shape };
    this.#known.set(key, ref);
    return ref;
  }

  /** Reads a value element by element: out of memory, or as an expression where it was left for later. */
  lazy(value: Value): Lazy {
    const known = this.#refs.has(value) ? undefined : (this.#lazy.get(value) ?? this.lazyQuantized(value));
    if (known) return known;
    const ref = this.ref(value);
    return { type: ref.type, shape: ref.shape, leaves: [ref], weight: 0, text: (read) => read(ref) };
  }

  isLazy(value: Value): boolean {
    return !this.#refs.has(value) && (this.#lazy.has(value) || this.#quantized.has(value));
  }

  setLazy(value: Value, lazy: Lazy): void {
    this.#lazy.set(value, lazy);
  }

  setQuantized(value: Value, quantized: Quantized): void {
    this.#quantized.set(value, quantized);
  }

  /** The 8-bit tensor behind a value, where it is nothing but dequantized. */
  quantized(value: Value): Quantized | undefined {
    return this.#quantized.get(value);
  }

  lazyQuantized(value: Value): Lazy | undefined {
    const quantized = this.#quantized.get(value);
    if (!quantized) return undefined;
    const { ref, scale, zeroPoint } = quantized;
    return {
      type: 'f32',
      shape: ref.shape,
      leaves: [ref],
      weight: 1,
      text: (read) => `dequantize(${read(ref)}, ${zeroPoint}, ${floatLiteral(scale)})`,
    };
  }

  /** Set by the elementwise operators, which know how expressions become loops. */
  store: (value: Value, lazy: Lazy) => Ref = () => {
    throw new CannotCompile('elementwise operators are not set up');
  };

  /** True when nobody but `reader` reads the value. */
  isOnlyFor(value: Value): Node | undefined {
    if (value.isGraphOutput || value.useCount !== 1) return undefined;
    return value.consumers[0];
  }

  /** Gives graph outputs the caller's memory. Call it last. */
  finish(): void {
    for (const [at, value] of this.#graph.outputs.entries()) {
      const ref = this.ref(value);
      const name = `out${at}`;
      if (ref.block.kind === 'arena') {
        ref.block.kind = 'output';
        ref.block.name = name;
        continue;
      }
      // An input, a constant, or what already is another output: copied.
      const to: Ref = { ...ref, block: this.#block(ref.block.bytes, 'output', name) };
      this.kernels.add('copy');
      this.steps.push({
        title: `output ${value.name}`,
        reads: [ref],
        writes: [to],
        code: (address) => `copy_bytes(${address(to)}, ${address(ref)}, ${countOf(ref.shape) * sizeOf(ref.type)});`,
      });
    }
  }
}
