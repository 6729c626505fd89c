import { constantOf } from '../../../src/ir/constant.ts';
import { type DType, dtypeFromCode } from '../../../src/ir/dtype.ts';
import type { Graph, Model, Node, Value } from '../../../src/ir/graph.ts';
import { controlSlots } from './control-flow.ts';
import { inputClass, outputClass, signatureOf } from './signatures.ts';

/**
 * Element type of a value as far as FP16 conversion cares: a tensor's type, `other` for sequences, optionals, maps and
 * tensors known not to be float32; undefined when nothing is known.
 */
export type ElementType = DType | 'other' | undefined;

/**
 * Element types of all values of the main graph and its subgraphs: declared ones, and what follows from the
 * operators' type variables where nothing is declared. Expects graphs in topological order.
 */
export class ElementTypes {
  readonly #types = new Map<Value, ElementType>();
  readonly #opset: number;

  constructor(model: Model) {
    this.#opset = model.opset;
    this.#visit(model.graph);
  }
  of(value: Value | undefined): ElementType {
    if (!value) return undefined;
    return this.#types.get(value) ?? declared(value);
  }
  isFloat32(value: Value | undefined): boolean {
    return this.of(value) === 'float32';
  }

  #visit(graph: Graph): void {
    for (const node of graph.nodes) {
      const slots = controlSlots(node);
      // Body inputs without a type take that of what flows in; outputs that of what the body gives.
      for (const slot of slots ?? []) this.#spread([...slot.from, ...slot.to], slot.to);
      for (const subgraph of node.subgraphs) this.#visit(subgraph);
      for (const slot of slots ?? []) this.#spread([...slot.from, ...slot.to], slot.to);
      if (!slots)
        for (const [index, output] of node.outputs.entries()) if (output) this.#note(output, this.#infer(node, index));
    }
  }
  #spread(from: readonly Value[], to: readonly Value[]): void {
    const known = from.map((value) => this.of(value)).find((type) => type !== undefined);
    for (const value of to) this.#note(value, known);
  }
  #note(value: Value, type: ElementType): void {
    if (type !== undefined && this.of(value) === undefined) this.#types.set(value, type);
  }
  #infer(node: Node, index: number): ElementType {
    const special = specialOutput(node, (value) => this.of(value));
    if (special !== 'by-signature') return special;
    const signature = signatureOf(node.op, node.domain, this.#opset);
    if (!signature) return undefined;
    const letter = outputClass(signature, index);
    if (letter === '!') return 'float32';
    if (letter === '-' || letter === '~') return 'other';
    for (const [at, input] of node.inputs.entries()) {
      if (input && inputClass(signature, at) === letter) {
        const type = this.of(input);
        if (type !== undefined) return type;
      }
    }
    return undefined;
  }
}

function declared(value: Value): ElementType {
  const { type } = value;
  if (type) return type.kind === 'tensor' ? type.dtype : 'other';
  return value.initializer?.dtype ?? constantOf(value)?.dtype;
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

function specialOutput(node: Node, typeOf: (value: Value | undefined) => ElementType): ElementType | 'by-signature' {
  if (node.domain !== '') return 'by-signature';
  const carried = typeAttributes[node.op];
  if (carried) {
    const code = node.int(carried.name);
    // Cast-1 names its type by a string.
    const text = node.string(carried.name)?.toLowerCase();
    if (text !== undefined) return text === 'float' ? 'float32' : 'other';
    if (code !== undefined) return dtypeFromCode(code) ?? 'other';
    return carried.default === 'input' ? typeOf(node.input(0)) : carried.default;
  }
  switch (node.op) {
    case 'CastLike':
      return typeOf(node.input(1));
    case 'Constant':
      return constantOf(node.outputs[0])?.dtype ?? 'other';
    case 'ConstantOfShape': {
      const value = node.attr('value');
      return value?.type === 'tensor' ? value.value.dtype : 'float32';
    }
    case 'DequantizeLinear': {
      const code = node.int('output_dtype', 0);
      return code === 0 ? typeOf(node.input(1)) : (dtypeFromCode(code) ?? 'other');
    }
    case 'SequenceAt':
    case 'ConcatFromSequence':
    case 'OptionalGetElement': {
      const type = node.input(0)?.type;
      const element = type?.kind === 'sequence' || type?.kind === 'optional' ? type.element : type;
      return element === undefined ? undefined : element.kind === 'tensor' ? element.dtype : 'other';
    }
    default:
      return 'by-signature';
  }
}
