import { UserError } from '../errors.ts';

/**
 * Bounds on what is read, so that a small hostile file cannot ask for unbounded memory or time. The defaults lie far
 * above any model in use; code that trusts its input may raise them.
 */
export interface Limits {
  /** Bytes of the model file. Protobuf itself ends below 2 GiB; larger models keep their weights in external data. */
  readonly fileBytes: number;
  /** Messages inside messages; a subgraph takes three. 100 is what protobuf's own parsers allow. */
  readonly nesting: number;
  /** All messages of the file together. */
  readonly messages: number;
  /** Nodes of all graphs and functions together. */
  readonly nodes: number;
  /** Tensors of the file together: initializers and attributes. */
  readonly tensors: number;
  /** Numbers in lists (attributes, dimensions), all together. Tensor data does not count. */
  readonly numbers: number;
  /** Strings in lists (names of inputs and outputs, attributes, string tensors), all together. */
  readonly strings: number;
  /** Runs of unknown fields, and of scattered tensor data, that one message may carry. */
  readonly runs: number;
  /** Bytes of one name or text. */
  readonly textBytes: number;
  /** Dimensions of one tensor or value. */
  readonly rank: number;
  /** Elements of one tensor, and the largest single dimension. */
  readonly elements: number;
  /** Bytes of a sparse tensor once it is made dense. */
  readonly denseBytes: number;
  /** Distinct external data files. */
  readonly externalFiles: number;
  /** Highest IR version accepted. */
  readonly irVersion: number;
}

export const defaultLimits: Limits = {
  fileBytes: 2 ** 31 - 1,
  nesting: 100,
  messages: 5_000_000,
  nodes: 500_000,
  tensors: 1_000_000,
  numbers: 20_000_000,
  strings: 5_000_000,
  runs: 100_000,
  textBytes: 2 ** 26,
  rank: 64,
  elements: Number.MAX_SAFE_INTEGER,
  denseBytes: 2 ** 31,
  externalFiles: 10_000,
  irVersion: 13,
};

/** @param where the place, as in `graph.node[3]`, or a tensor's name */
export function limitError(limits: Limits, limit: keyof Limits, where: string, found?: number | bigint): UserError {
  const has = found === undefined ? 'more' : String(found);
  return new UserError(
    'model-limit',
    `${where} goes over the limit "${limit}" (${has}, allowed ${limits[limit]}); the file is damaged or made to exhaust memory. ` +
      `Raise limits.${limit} when reading it if you trust it.`,
  );
}
