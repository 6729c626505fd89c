import { bug } from '../errors.ts';
import type { Graph, Node, Value } from '../ir/graph.ts';
import { encodeAttr } from './attr.ts';
import { plainDomain } from './decode.ts';
import { GraphOrigin } from './decode-graph.ts';
import { type EncodeContext, encodeTensor } from './encode-tensor.ts';
import { isMessage, type Message, merge } from './message.ts';
import { OwnValues } from './own-values.ts';
import { encodeProps } from './props.ts';
import { tensorOrigin } from './tensor.ts';
import { encodeValueInfo, ownNames, typeUntouched, valueOrigin } from './value-info.ts';

type ValueInfo = Message<'ValueInfoProto'>;

export function encodeGraph(graph: Graph, context: EncodeContext): Message<'GraphProto'> {
  const origin = originOf(graph, 'GraphProto');
  const before = origin?.message;
  const values = new OwnValues(graph);
  const { dense, sparse } = encodeInitializers(graph, origin, context, values);
  return merge('GraphProto', before, {
    node: encodeNodes(graph, context),
    name: graph.name,
    initializer: dense,
    sparse_initializer: sparse,
    doc_string: graph.doc,
    input: encodeInterface(graph.inputs, before?.input, values),
    output: encodeInterface(graph.outputs, before?.output, values),
    value_info: encodeInnerValues(origin, before?.value_info, values, context),
    quantization_annotation: origin && encodeAnnotations(origin, values),
    metadata_props: encodeProps(before?.metadata_props, graph.meta),
  });
}

/** The part of a FunctionProto that its body says. */
export function encodeBody(body: Graph, context: EncodeContext) {
  if (body.initializers.size > 0) bug(`function body "${body.name}" has initializers: ONNX functions hold none`);
  const origin = originOf(body, 'FunctionProto');
  return {
    input: body.inputs.map((value) => value.name),
    output: body.outputs.map((value) => value.name),
    node: encodeNodes(body, context),
    value_info: encodeInnerValues(origin, origin?.message.value_info, new OwnValues(body), context),
  };
}

function originOf<N extends 'GraphProto' | 'FunctionProto'>(
  graph: Graph,
  name: N,
): GraphOrigin<Message<N>> | undefined {
  const { origin } = graph;
  return origin instanceof GraphOrigin && isMessage(origin.message, name) ? origin : undefined;
}

function encodeNodes(graph: Graph, context: EncodeContext): Message<'NodeProto'>[] {
  const nodes: Message<'NodeProto'>[] = [];
  for (const node of graph.nodes) nodes.push(encodeNode(node, context));
  return nodes;
}

function encodeNode(node: Node, context: EncodeContext): Message<'NodeProto'> {
  const before = isMessage(node.origin, 'NodeProto') ? node.origin : undefined;
  const attribute: Message<'AttributeProto'>[] = [];
  for (const [name, attr] of node.attrs) {
    attribute.push(encodeAttr(name, attr, context, (graph) => encodeGraph(graph, context)));
  }
  return merge('NodeProto', before, {
    input: encodeNames(node.inputs, before?.input, node.is('Loop') ? 2 : 0),
    output: encodeNames(node.outputs, before?.output),
    name: node.name,
    op_type: node.op,
    attribute,
    doc_string: node.doc,
    domain: plainDomain(before?.domain) === node.domain ? before?.domain : node.domain,
    overload: node.overload,
    metadata_props: encodeProps(before?.metadata_props, node.meta),
  });
}

/**
 * Names with '' for holes. Holes at the end say nothing; those of the source stay when all else is equal.
 * @param least a Loop has two inputs, however little it is given: ONNX Runtime refuses one with a single name
 */
function encodeNames(
  values: readonly (Value | undefined)[],
  before: readonly string[] | undefined,
  least = 0,
): readonly string[] {
  const names = values.map((value) => value?.name ?? '');
  while (names.length > least && names.at(-1) === '') names.pop();
  while (names.length < least) names.push('');
  if (!before || before.length <= names.length) return names;
  return before.every((name, index) => name === (names[index] ?? '')) ? before : names;
}

function encodeInitializers(
  graph: Graph,
  origin: GraphOrigin<Message<'GraphProto'>> | undefined,
  context: EncodeContext,
  values: OwnValues,
) {
  const dense: Entry<'TensorProto'>[] = [];
  const sparse: Entry<'SparseTensorProto'>[] = [];
  for (const value of graph.initializers) {
    const tensor = value.initializer ?? bug(`initializer "${value.name}" has no tensor`);
    const source = tensorOrigin(tensor)?.message;
    if (source?.$name === 'SparseTensorProto') {
      const named = source.values && merge('TensorProto', source.values, { name: value.name });
      sparse.push({ source, message: merge('SparseTensorProto', source, { values: named }) });
    } else {
      dense.push({ source, message: encodeTensor(tensor, context, value.name) });
    }
  }
  // An overridden initializer of the same name stays while that name still stands for an initializer.
  const leftover = (entry: Message<'TensorProto'>): Message<'TensorProto'> | undefined => {
    const value = origin?.repeated.has(entry) ? values.former(entry.name) : undefined;
    return value?.initializer && merge('TensorProto', entry, { name: value.name });
  };
  const before = origin?.message.initializer;
  return {
    // Initializers have an order of their own in the graph; only where entries stay without a value, that of the source.
    dense: before?.some(leftover) ? arrange(before, dense, leftover) : dense.map(({ message }) => message),
    sparse: sparse.map(({ message }) => message),
  };
}

/** Inputs or outputs. `before` gives the declaration where it still stands at the same place for the same value. */
function encodeInterface(
  list: readonly Value[],
  before: readonly ValueInfo[] | undefined,
  values: OwnValues,
): ValueInfo[] {
  return list.map((value, index) => {
    const declared = before?.[index];
    return declared && values.former(declared.name) === value
      ? encodeValueInfo(value, declared)
      : encodeValueInfo(value);
  });
}

/** Declarations of inner values: those of the source in their order, then those of values that have got a type since, with no names of dimensions beyond those of the source and of inputs (`ownNames`). */
function encodeInnerValues(
  origin: GraphOrigin<Message<'GraphProto'>> | GraphOrigin<Message<'FunctionProto'>> | undefined,
  before: readonly ValueInfo[] | undefined,
  values: OwnValues,
  { isOfInputs }: EncodeContext,
): ValueInfo[] {
  const listed = new Set<unknown>(before);
  const entries: Entry<'ValueInfoProto'>[] = [];
  for (const value of values) {
    const known = valueOrigin(value);
    const source = known?.info;
    // Inputs, outputs and initializers have their type elsewhere: only what the source said about them is repeated.
    const inner = value.producer !== undefined && !value.isGraphOutput;
    if (!listed.has(source) && !(inner && value.type)) continue;
    const type = origin && inner && isOfInputs ? ownNames(value, known?.type, isOfInputs) : value.type;
    entries.push({ source, message: encodeValueInfo(value, source, type) });
  }
  const leftover = (entry: ValueInfo): ValueInfo | undefined => {
    if (origin?.dangling.has(entry)) return values.has(entry.name ?? '') ? undefined : entry;
    const value = origin?.repeated.has(entry) ? values.former(entry.name) : undefined;
    return value && typeUntouched(value) ? merge('ValueInfoProto', entry, { name: value.name }) : undefined;
  };
  return arrange(before, entries, leftover);
}

/** Annotations follow their value and the parameters they name; those of a removed value go with it. */
function encodeAnnotations(
  origin: GraphOrigin<Message<'GraphProto'>>,
  values: OwnValues,
): Message<'TensorAnnotation'>[] | undefined {
  return origin.message.quantization_annotation?.flatMap((entry) => {
    if (origin.dangling.has(entry)) return [entry];
    const value = values.former(entry.tensor_name);
    if (!value) return [];
    const parameters = entry.quant_parameter_tensor_names?.map((parameter) =>
      merge('StringStringEntryProto', parameter, {
        value: values.former(parameter.value)?.name ?? parameter.value,
      }),
    );
    return [merge('TensorAnnotation', entry, { tensor_name: value.name, quant_parameter_tensor_names: parameters })];
  });
}

interface Entry<N extends 'TensorProto' | 'SparseTensorProto' | 'ValueInfoProto'> {
  /** The entry of the source that this one continues. */
  readonly source: unknown;
  readonly message: Message<N>;
}

/** Entries in the order of the source, then the new ones. `leftover` says what becomes of source entries that nothing continues. */
function arrange<N extends 'TensorProto' | 'SparseTensorProto' | 'ValueInfoProto'>(
  before: readonly Message<N>[] | undefined,
  entries: readonly Entry<N>[],
  leftover: (entry: Message<N>) => Message<N> | undefined,
): Message<N>[] {
  const continued = new Map<unknown, Message<N>>();
  const old = new Set<unknown>(before);
  const added: Message<N>[] = [];
  for (const { source, message } of entries) {
    if (old.has(source) && !continued.has(source)) continued.set(source, message);
    else added.push(message);
  }
  const arranged: Message<N>[] = [];
  for (const entry of before ?? []) {
    const now = continued.get(entry) ?? leftover(entry);
    if (now) arranged.push(now);
  }
  return [...arranged, ...added];
}
