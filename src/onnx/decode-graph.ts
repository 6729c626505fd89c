import { UserError } from '../errors.ts';
import { Graph, type Node, type Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import { decodeAttr } from './attr.ts';
import type { Message } from './message.ts';
import { decodeProps } from './props.ts';
import { decodeSparse, decodeTensor, type TensorContext } from './tensor.ts';
import { decodeType, ValueOrigin, valueOrigin } from './value-info.ts';

type ValueInfo = Message<'ValueInfoProto'>;

/** What a graph or a function body was read from. */
export class GraphOrigin<M = Message<'GraphProto'> | Message<'FunctionProto'>> {
  readonly message: M;
  /** Entries that name nothing in this graph: carried as they are. */
  readonly dangling: ReadonlySet<object>;
  /** Entries that say again what another entry says: carried as long as what they describe is untouched. */
  readonly repeated: ReadonlySet<object>;
  constructor(message: M, dangling: ReadonlySet<object>, repeated: ReadonlySet<object>) {
    this.message = message;
    this.dangling = dangling;
    this.repeated = repeated;
  }
}

/** Names visible in a graph: its own, then those of the graphs around it. */
class Scope {
  readonly own = new Map<string, Value>();
  readonly #outer: Scope | undefined;
  constructor(outer: Scope | undefined) {
    this.#outer = outer;
  }
  find(name: string): Value | undefined {
    return this.own.get(name) ?? this.#outer?.find(name);
  }
}

/** @param place names the graph in messages: `the main graph`, `function "f"`, `attribute "body" of Loop "l"` */
export function decodeGraph(message: Message<'GraphProto'>, place: string, context: TensorContext): Graph {
  return new GraphDecoder(new Graph(message.name ?? ''), place, undefined, context).graph(message);
}

export function decodeFunctionBody(message: Message<'FunctionProto'>, place: string, context: TensorContext): Graph {
  return new GraphDecoder(new Graph(message.name ?? ''), place, undefined, context).functionBody(message);
}

class GraphDecoder {
  readonly #graph: Graph;
  readonly #place: string;
  readonly #scope: Scope;
  readonly #context: TensorContext;
  readonly #dangling = new Set<object>();
  readonly #repeated = new Set<object>();

  constructor(graph: Graph, place: string, outer: Scope | undefined, context: TensorContext) {
    this.#graph = graph;
    this.#place = place;
    this.#scope = new Scope(outer);
    this.#context = context;
  }

  graph(message: Message<'GraphProto'>): Graph {
    const graph = this.#graph;
    for (const info of message.input ?? []) this.#input(info.name ?? '', info);
    this.#initializers(message);
    this.#nodes(message.node ?? [], message.value_info ?? [], message.output ?? []);
    for (const info of message.output ?? []) this.#output(info.name ?? '');
    for (const annotation of message.quantization_annotation ?? []) {
      if (!this.#scope.own.has(annotation.tensor_name ?? '')) this.#dangling.add(annotation);
    }
    graph.doc = message.doc_string;
    graph.meta = decodeProps(message.metadata_props);
    graph.origin = new GraphOrigin(message, this.#dangling, this.#repeated);
    return graph;
  }

  functionBody(message: Message<'FunctionProto'>): Graph {
    for (const name of message.input ?? []) this.#input(name, undefined);
    this.#nodes(message.node ?? [], message.value_info ?? [], []);
    for (const name of message.output ?? []) this.#output(name);
    this.#graph.origin = new GraphOrigin(message, this.#dangling, this.#repeated);
    return this.#graph;
  }

  #input(name: string, info: ValueInfo | undefined): void {
    const earlier = this.#scope.own.get(name);
    if (earlier) throw this.#twice(name, 'is listed twice as an input');
    if (name === '') throw this.#invalid('an input has no name');
    const value = this.#graph.addInput(name);
    this.#scope.own.set(name, value);
    if (info) this.#describe(value, info);
  }

  #initializers(message: Message<'GraphProto'>): void {
    const lastOf = new Map<string, Message<'TensorProto'>>();
    // The last of several initializers of one name counts, as in ONNX Runtime.
    for (const tensor of message.initializer ?? []) {
      const name = tensor.name ?? '';
      const earlier = lastOf.get(name);
      if (earlier) this.#repeated.add(earlier);
      lastOf.set(name, tensor);
    }
    for (const tensor of message.initializer ?? []) {
      if (this.#repeated.has(tensor)) continue;
      const name = tensor.name ?? '';
      this.#initializer(name, decodeTensor(tensor, this.#label('initializer', name), this.#context));
    }
    for (const sparse of message.sparse_initializer ?? []) {
      const name = sparse.values?.name ?? '';
      this.#initializer(name, decodeSparse(sparse, this.#label('sparse initializer', name), this.#context));
    }
  }

  #initializer(name: string, tensor: Tensor): void {
    const graph = this.#graph;
    const earlier = this.#scope.own.get(name);
    if (earlier?.initializer) throw this.#twice(name, 'is stored both as a dense and as a sparse initializer');
    if (name === '') throw this.#invalid('an initializer has no name');
    const value = earlier ?? graph.looseValue(name);
    graph.attachInitializer(value, tensor);
    value.type ??= tensorType(tensor.dtype, tensor.shape);
    this.#scope.own.set(name, value);
  }

  /** Two rounds, because nodes may stand in any order: first all outputs get their values, then inputs are resolved. */
  #nodes(messages: readonly Message<'NodeProto'>[], infos: readonly ValueInfo[], outputs: readonly ValueInfo[]): void {
    const nodes = messages.map((message) => this.#node(message));
    // Outputs first: a value's declaration as an output outranks its entry among the inner values.
    for (const info of outputs) {
      const value = this.#scope.own.get(info.name ?? '');
      if (value && !value.isGraphInput && !valueOrigin(value)) this.#describe(value, info);
    }
    for (const info of infos) {
      const value = this.#scope.own.get(info.name ?? '');
      if (!value) this.#dangling.add(info);
      else if (valueOrigin(value)) this.#repeated.add(info);
      else this.#describe(value, info);
    }
    for (const [index, message] of messages.entries()) {
      const node = nodes[index];
      if (node) this.#connect(node, message);
    }
  }

  #node(message: Message<'NodeProto'>): Node {
    const names = message.output ?? [];
    const node = this.#graph.append(message.op_type ?? '', {
      domain: message.domain ?? '',
      overload: message.overload ?? '',
      name: message.name ?? '',
      inputs: [],
      outputs: names.map((name) => name || undefined),
    });
    for (const [index, name] of names.entries()) {
      const value = node.outputs[index];
      if (!value) continue;
      const earlier = this.#scope.own.get(name);
      if (earlier) {
        const first = earlier.producer
          ? `${earlier.producer}`
          : earlier.isGraphInput
            ? 'the graph as an input'
            : 'an initializer';
        throw this.#twice(name, `is made both by ${first} and by ${node}`);
      }
      this.#scope.own.set(name, value);
    }
    node.doc = message.doc_string;
    node.meta = decodeProps(message.metadata_props);
    node.origin = message;
    return node;
  }

  #connect(node: Node, message: Message<'NodeProto'>): void {
    node.setInputs(
      (message.input ?? []).map((name) => {
        if (name === '') return undefined;
        const value = this.#scope.find(name);
        if (!value) throw this.#invalid(`${node} reads "${name}", which nothing makes`);
        return value;
      }),
    );
    for (const attribute of message.attribute ?? []) {
      const name = attribute.name ?? '';
      const label = `attribute "${name}" of ${node}`;
      if (node.attrs.has(name)) throw this.#invalid(`${label} is given twice`);
      const attr = decodeAttr(attribute, label, this.#context, (inner) => {
        const graph = new Graph(inner.name ?? '');
        graph.ownerNode = node;
        return new GraphDecoder(graph, label, this.#scope, this.#context).graph(inner);
      });
      node.attrs.set(name, attr);
    }
  }

  #output(name: string): void {
    const value = this.#scope.find(name);
    if (!value) throw this.#invalid(`the output "${name}" is made by nothing`);
    this.#graph.addOutput(value);
  }

  #describe(value: Value, info: ValueInfo): void {
    const type = decodeType(info.type, `value "${value.name}"`, this.#context.limits);
    // An initializer's own data says its type better than an entry without one.
    if (type || !value.initializer) value.type = type;
    value.doc = info.doc_string;
    value.meta = decodeProps(info.metadata_props);
    value.origin = new ValueOrigin(info, value.type);
  }

  #label(what: string, name: string): string {
    return this.#graph.ownerNode ? `${what} "${name}" in ${this.#place}` : `${what} "${name}"`;
  }
  #twice(name: string, how: string): UserError {
    return this.#invalid(`the value "${name}" ${how}, and a name may stand for one value only`);
  }
  #invalid(why: string): UserError {
    return new UserError('graph-invalid', `In ${this.#place}: ${why}; the model is not valid ONNX.`);
  }
}
