import { bug, UserError } from '../errors.ts';
import type { Attr } from '../ir/attr.ts';
import type { Graph } from '../ir/graph.ts';
import { type EncodeContext, encodeTensor } from './encode-tensor.ts';
import { type Fields, isMessage, type Message, merge } from './message.ts';
import { decodeTensor, type TensorContext } from './tensor.ts';
import { decodeBytes, encodeText } from './text.ts';

/** AttributeProto.AttributeType. */
const code = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

/** What an attribute was read from. Valid while type and value are the ones that were read. */
class AttrOrigin {
  readonly message: Message<'AttributeProto'>;
  readonly type: Attr['type'];
  readonly value: unknown;
  constructor(message: Message<'AttributeProto'>, type: Attr['type'], value: unknown) {
    this.message = message;
    this.type = type;
    this.value = value;
  }
}

/** Byte strings longer than this are no text (EPContext nodes keep compiled programs in them) and stay bytes. */
const longestText = 2 ** 24;

/**
 * @param label names the attribute in messages
 * @param subgraph makes a graph of the node that the attribute belongs to
 */
export function decodeAttr(
  message: Message<'AttributeProto'>,
  label: string,
  context: TensorContext,
  subgraph: (message: Message<'GraphProto'>) => Graph,
): Attr {
  const made = <A extends Attr>(attr: A): A => ({ ...attr, origin: new AttrOrigin(message, attr.type, attr.value) });
  const opaque = (): Attr => made({ type: 'opaque', value: message });
  if (message.ref_attr_name) return made({ type: 'ref', value: message.ref_attr_name });
  switch (message.type || guessType(message)) {
    case code.float:
      return made({ type: 'float', value: message.f ?? 0 });
    case code.int:
      return made({ type: 'int', value: message.i ?? 0n });
    case code.string: {
      const bytes = (message.s ?? new Uint8Array(0)) as Uint8Array;
      return bytes.byteLength > longestText ? opaque() : made({ type: 'string', value: decodeBytes(bytes) });
    }
    case code.floats:
      return made({ type: 'floats', value: message.floats ?? [] });
    case code.ints:
      return made({ type: 'ints', value: message.ints ?? [] });
    case code.strings: {
      const list = (message.strings ?? []) as readonly Uint8Array[];
      if (list.some((bytes) => bytes.byteLength > longestText)) return opaque();
      return made({ type: 'strings', value: list.map(decodeBytes) });
    }
    case code.tensor:
      if (!message.t) throw missing(label, 'tensor');
      return made({ type: 'tensor', value: decodeTensor(message.t, label, context) });
    case code.tensors:
      return made({
        type: 'tensors',
        value: (message.tensors ?? []).map((tensor, index) => decodeTensor(tensor, `${label}[${index}]`, context)),
      });
    case code.graph:
      if (!message.g) throw missing(label, 'graph');
      return made({ type: 'graph', value: subgraph(message.g) });
    case code.graphs:
      return made({ type: 'graphs', value: (message.graphs ?? []).map(subgraph) });
    default:
      return opaque();
  }
}

/** IR version 1 had no `type` field: the field that is set says it. */
function guessType(message: Message<'AttributeProto'>): number | undefined {
  if (message.f !== undefined) return code.float;
  if (message.i !== undefined) return code.int;
  if (message.s !== undefined) return code.string;
  if (message.t) return code.tensor;
  if (message.g) return code.graph;
  if (message.floats) return code.floats;
  if (message.ints) return code.ints;
  if (message.strings) return code.strings;
  if (message.tensors) return code.tensors;
  return message.graphs ? code.graphs : undefined;
}

/** Tensors in attributes stay in the model file: runtimes look for data files only behind initializers. */
const noRefs: EncodeContext['external'] = new Map();

export function encodeAttr(
  name: string,
  attr: Attr,
  context: EncodeContext,
  encodeSubgraph: (graph: Graph) => Message<'GraphProto'>,
): Message<'AttributeProto'> {
  const origin = attr.origin instanceof AttrOrigin && attr.origin.type === attr.type ? attr.origin : undefined;
  const before = origin?.message;
  const inside = { external: noRefs, keepExternal: context.keepExternal };
  // Tensors may have to move and graphs have an inside: they are looked at again. `merge` finds what has not changed.
  switch (attr.type) {
    case 'tensor': {
      return fresh(before, { name, type: code.tensor, t: encodeTensor(attr.value, inside, before?.t?.name) });
    }
    case 'tensors': {
      const tensors = attr.value.map((tensor, i) => encodeTensor(tensor, inside, before?.tensors?.[i]?.name));
      return fresh(before, { name, type: code.tensors, tensors });
    }
    case 'graph':
      return fresh(before, { name, type: code.graph, g: encodeSubgraph(attr.value) });
    case 'graphs':
      return fresh(before, { name, type: code.graphs, graphs: attr.value.map(encodeSubgraph) });
    default:
  }
  if (origin && Object.is(origin.value, attr.value)) return merge('AttributeProto', origin.message, { name });
  const doc_string = before?.doc_string;
  const made = (fields: Fields<'AttributeProto'>): Message<'AttributeProto'> =>
    merge('AttributeProto', undefined, { name, doc_string, ...fields });
  switch (attr.type) {
    case 'float':
      return made({ type: code.float, f: attr.value });
    case 'int':
      return made({ type: code.int, i: attr.value });
    case 'string':
      return made({ type: code.string, s: encodeText(attr.value) });
    case 'floats':
      return made({ type: code.floats, floats: attr.value });
    case 'ints':
      return made({ type: code.ints, ints: attr.value });
    case 'strings':
      return made({ type: code.strings, strings: attr.value.map(encodeText) });
    case 'ref':
      return made({ type: before?.type, ref_attr_name: attr.value });
    case 'opaque':
      if (isMessage(attr.value, 'AttributeProto')) return merge('AttributeProto', attr.value, { name });
      return bug(`attribute "${name}" is opaque and holds no encoded attribute`);
  }
}

/** Type 0 (IR version 1) stays as it was. */
function fresh(
  before: Message<'AttributeProto'> | undefined,
  { type, ...fields }: Fields<'AttributeProto'>,
): Message<'AttributeProto'> {
  return merge('AttributeProto', before, before && !before.type ? fields : { type, ...fields });
}

function missing(label: string, what: string): UserError {
  return new UserError(
    'attribute-invalid',
    `${label} says that it holds a ${what} and holds none; the model file is damaged.`,
  );
}
