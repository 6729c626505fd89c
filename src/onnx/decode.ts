import { UserError } from '../errors.ts';
import { type LocalFunction, Model } from '../ir/graph.ts';
import { decodeAttr } from './attr.ts';
import { decodeFunctionBody, decodeGraph } from './decode-graph.ts';
import { ExternalFolder, type FolderOptions } from './external.ts';
import { defaultLimits, type Limits, limitError } from './limits.ts';
import type { Message } from './message.ts';
import { decodeProps } from './props.ts';
import { readMessage } from './reader.ts';
import { looksLike } from './sniff.ts';
import type { TensorContext } from './tensor.ts';
import { printable } from './text.ts';

/** Failures after which it is worth asking what the file is instead. */
const unreadable = new Set(['not-a-model', 'model-malformed', 'model-truncated', 'model-limit', 'ir-version']);

export interface DecodeOptions extends FolderOptions {
  /** The folder of the model file. Without it, tensors in external data have no data. */
  readonly dir?: string;
  readonly limits?: Limits;
}

/**
 * Reads an ONNX model (ModelProto) of IR version 1 to 13. Tensors are views into `bytes`, which must not be changed
 * afterwards; external data is checked now and read when asked for.
 * @throws UserError saying what is wrong and where: no model, damaged, over a limit, data files that may not be read
 */
export function decodeModel(bytes: Uint8Array, options: DecodeOptions = {}): Model {
  const limits = options.limits ?? defaultLimits;
  try {
    if (bytes.byteLength > limits.fileBytes) throw limitError(limits, 'fileBytes', 'the model', bytes.byteLength);
    const folder = options.dir === undefined ? undefined : new ExternalFolder(options.dir, limits, options);
    return toModel(readMessage('ModelProto', bytes, limits), { limits, folder });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const instead = unreadable.has(error.code) ? looksLike(bytes) : undefined;
    if (instead !== undefined)
      throw new UserError('not-a-model', `This is no ONNX model: ${instead}.`, { cause: error });
    // Names from the file stand in the sentence: they may hold anything.
    throw new UserError(error.code, printable(error.message), { cause: error.cause });
  }
}

function toModel(message: Message<'ModelProto'>, context: TensorContext): Model {
  const irVersion = Number(message.ir_version ?? 0n);
  checkHead(message, irVersion, context.limits);
  const model = new Model(
    decodeGraph(requireGraph(message), 'the main graph', context),
    decodeOpsets(message.opset_import),
    irVersion,
  );
  model.producerName = message.producer_name ?? '';
  model.producerVersion = message.producer_version ?? '';
  model.domain = message.domain ?? '';
  model.modelVersion = message.model_version ?? 0n;
  model.doc = message.doc_string;
  for (const [key, value] of decodeProps(message.metadata_props) ?? []) model.meta.set(key, value);
  for (const fn of message.functions ?? []) model.addFunction(decodeFunction(fn, context));
  model.origin = message;
  return model;
}

function checkHead(message: Message<'ModelProto'>, irVersion: number, limits: Limits): void {
  if (message.ir_version === undefined) throw noModel('it has no IR version');
  if (irVersion < 1) throw noModel(`its IR version is ${irVersion}`);
  if (irVersion > limits.irVersion) {
    throw new UserError(
      'ir-version',
      `The model has IR version ${irVersion}; up to ${limits.irVersion} is supported (ONNX Runtime 1.30 ends there too). ` +
        'Export it again for an older version, for example with onnx.helper.make_model(…, ir_version=10).',
    );
  }
  requireGraph(message);
  // The opset list came with IR version 3. Writers put it behind the graph, so its absence is how a cut file looks.
  if (irVersion >= 3 && !message.opset_import?.length) {
    throw noModel('it names no operator set; the file may have been cut short');
  }
}

function requireGraph(message: Message<'ModelProto'>): Message<'GraphProto'> {
  if (!message.graph) throw noModel('it has no graph');
  return message.graph;
}

/** Opset versions by domain, the highest where a domain stands twice (ONNX IR specification); '' is ai.onnx. */
export function decodeOpsets(entries: readonly Message<'OperatorSetIdProto'>[] | undefined): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const entry of entries ?? []) {
    const domain = plainDomain(entry.domain);
    const version = Number(entry.version ?? 0n);
    if (!(version >= 0 && version < 2 ** 31)) {
      throw new UserError(
        'opset-invalid',
        `The operator set "${domain || 'ai.onnx'}" has the impossible version ${version}.`,
      );
    }
    opsets.set(domain, Math.max(version, opsets.get(domain) ?? 0));
  }
  return opsets;
}

/** The default domain has two spellings. */
export function plainDomain(domain: string | undefined): string {
  return domain === undefined || domain === 'ai.onnx' ? '' : domain;
}

function decodeFunction(message: Message<'FunctionProto'>, context: TensorContext): LocalFunction {
  const place = `function "${message.name ?? ''}"`;
  const noGraphs = (): never => {
    throw new UserError(
      'attribute-invalid',
      `${place} has a graph as the default of an attribute, which is not supported.`,
    );
  };
  const meta = decodeProps(message.metadata_props);
  return {
    domain: plainDomain(message.domain),
    name: message.name ?? '',
    overload: message.overload ?? '',
    body: decodeFunctionBody(message, place, context),
    attributes: message.attribute ?? [],
    defaults: new Map(
      (message.attribute_proto ?? []).map((attribute) => {
        const name = attribute.name ?? '';
        return [name, decodeAttr(attribute, `attribute "${name}" of ${place}`, context, noGraphs)];
      }),
    ),
    opsets: decodeOpsets(message.opset_import),
    origin: message,
    ...(message.doc_string === undefined ? {} : { doc: message.doc_string }),
    ...(meta ? { meta } : {}),
  };
}

function noModel(why: string): UserError {
  return new UserError('not-a-model', `This is no complete ONNX model: ${why}.`);
}
