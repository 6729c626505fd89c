import { UserError } from '../errors.ts';
import { declaredSymbols, symbolsOf } from '../ir/dim.ts';
import type { LocalFunction, Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { formatBytes } from '../messages.ts';
import { encodeAttr } from './attr.ts';
import { decodeOpsets, plainDomain } from './decode.ts';
import { encodeBody, encodeGraph } from './encode-graph.ts';
import type { EncodeContext, ExternalRef } from './encode-tensor.ts';
import { isMessage, type Message, merge } from './message.ts';
import { encodeProps } from './props.ts';
import { type Encoded, joined, pieces, writeMessage } from './writer.ts';

export type { Encoded } from './writer.ts';

export interface EncodeOptions {
  /** Tensors kept in data files beside the model, and where in them. */
  readonly external?: ReadonlyMap<Tensor, ExternalRef>;
  /** Tensors read from data files keep pointing to them; otherwise their data is written into the model. */
  readonly keepExternal?: boolean;
}

/** Protobuf messages end below 2 GiB. */
export const protobufLimit = 2 ** 31 - 1;

/**
 * The model as one ModelProto with all tensors inside, for small models and for the runtime. A model that nothing has
 * changed gives back the very bytes it was read from.
 * @param memory where they are to be written, of so many bytes or more; default memory of their own
 * @throws UserError when it does not fit into one message (2 GiB)
 */
export function encodeModel(model: Model, memory?: (bytes: number) => Uint8Array): Uint8Array {
  const encoded = encode(model);
  if (encoded.byteLength > protobufLimit) throw tooLarge(encoded.byteLength);
  return joined(encoded, memory);
}

/** The same bytes piece by piece, without ever holding all of them. */
export function* encodeParts(model: Model, options: EncodeOptions = {}): Generator<Uint8Array> {
  yield* pieces(encode(model, options));
}

/** The encoded model with its size, its large tensors not yet read or computed. */
export function encode(model: Model, options: EncodeOptions = {}): Encoded {
  return writeMessage(encodeMessage(model, options));
}

/** Tells names of dimensions, and terms of them, that inputs declare. */
function namesOfInputs({ graph }: Model): (dim: string) => boolean {
  const declared = declaredSymbols(graph.inputs);
  const known = new Map<string, boolean>();
  return (dim) => {
    const answer = known.get(dim) ?? [...symbolsOf(dim)].every((symbol) => declared.has(symbol));
    known.set(dim, answer);
    return answer;
  };
}

/** The ModelProto. It is the one the model was read from (same object) when nothing was changed. */
export function encodeMessage(model: Model, options: EncodeOptions = {}): Message<'ModelProto'> {
  const context: EncodeContext = {
    external: options.external ?? new Map(),
    keepExternal: options.keepExternal ?? false,
    isOfInputs: namesOfInputs(model),
  };
  const before = isMessage(model.origin, 'ModelProto') ? model.origin : undefined;
  return merge('ModelProto', before, {
    ir_version: BigInt(model.irVersion),
    producer_name: model.producerName,
    producer_version: model.producerVersion,
    domain: model.domain,
    model_version: model.modelVersion,
    doc_string: model.doc,
    graph: encodeGraph(model.graph, context),
    opset_import: encodeOpsets(before?.opset_import, model.opsets),
    metadata_props: encodeProps(before?.metadata_props, model.meta),
    functions: model.functions.map((fn) => encodeFunction(fn, context)),
  });
}

export function tooLarge(bytes: number): UserError {
  return new UserError(
    'model-too-large',
    `The model takes ${formatBytes(bytes)} in one file, and ONNX files end at 2 GiB; save it with external data instead.`,
  );
}

function encodeFunction(fn: LocalFunction, context: EncodeContext): Message<'FunctionProto'> {
  const before = isMessage(fn.origin, 'FunctionProto') ? fn.origin : undefined;
  const noGraphs = (): never => {
    throw new UserError('attribute-invalid', `function "${fn.name}" has a graph as the default of an attribute.`);
  };
  return merge('FunctionProto', before, {
    name: fn.name,
    domain: plainDomain(before?.domain) === fn.domain ? before?.domain : fn.domain,
    overload: fn.overload,
    ...encodeBody(fn.body, context),
    attribute: fn.attributes,
    attribute_proto: [...fn.defaults].map(([name, attr]) => encodeAttr(name, attr, context, noGraphs)),
    opset_import: encodeOpsets(before?.opset_import, fn.opsets),
    doc_string: fn.doc,
    metadata_props: encodeProps(before?.metadata_props, fn.meta),
  });
}

/** Entries keep their spelling of the default domain ('' or ai.onnx) and their order. */
function encodeOpsets(
  before: readonly Message<'OperatorSetIdProto'>[] | undefined,
  opsets: ReadonlyMap<string, number>,
): readonly Message<'OperatorSetIdProto'>[] | undefined {
  const old = decodeOpsets(before);
  if (old.size === opsets.size && [...old].every(([domain, version]) => opsets.get(domain) === version)) return before;
  return [...opsets].map(([domain, version]) => {
    const entry = before?.find((candidate) => plainDomain(candidate.domain) === domain);
    return merge('OperatorSetIdProto', entry, { domain: entry ? entry.domain : domain, version: BigInt(version) });
  });
}
