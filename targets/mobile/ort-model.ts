import { UserError } from '../../src/errors.ts';
import { decodeFlatBuffer } from '../../src/flatbuffer/decode.ts';
import { encodeFlatBuffer } from '../../src/flatbuffer/encode.ts';
import type { FieldValue, Table } from '../../src/flatbuffer/schema.ts';
import { ortTables, unordered } from './ort-schema.ts';

/** One node of an ORT-format model, as far as a reduced build of the runtime must know it. */
export interface OrtNode {
  /** `ai.onnx` for the default domain. */
  readonly domain: string;
  readonly op: string;
  /** Opset at which this version of the operator appeared, not the model's opset. */
  readonly sinceVersion: number;
  /** Element types of inputs and outputs in C++ terms (`float`, `int64_t`); undefined for a missing optional one. */
  readonly inputTypes: readonly (string | undefined)[];
  readonly outputTypes: readonly (string | undefined)[];
}

/** Names that ONNX Runtime's build gives to element types, by their code (TensorDataType of ort.fbs, same as ONNX's). */
const typeNames: readonly (string | undefined)[] = [
  undefined,
  'float',
  'uint8_t',
  'int8_t',
  'uint16_t',
  'int16_t',
  'int32_t',
  'int64_t',
  'std::string',
  'bool',
  'MLFloat16',
  'double',
  'uint32_t',
  'uint64_t',
  undefined,
  undefined,
  'BFloat16',
  'Float8E4M3FN',
  'Float8E4M3FNUZ',
  'Float8E5M2',
  'Float8E5M2FNUZ',
];

/** The format that this code knows; ONNX Runtime writes it into the file. */
const knownFormat = '6';

/** An ORT-format model (`.ort`) in memory. @throws UserError when the bytes are none, or of another format. */
export function readOrt(bytes: Uint8Array): Table {
  const root = decodeFlatBuffer(ortTables, 'InferenceSession', bytes, 'ORTM');
  if (root.ort_version !== knownFormat) {
    throw new UserError(
      'ort-format',
      `ONNX Runtime wrote ORT format ${String(root.ort_version)}; this version of mlpack knows ${knownFormat}.`,
    );
  }
  return root;
}

/**
 * The same model with everything in an order of its own: ONNX Runtime writes initializers, values and attributes in the order
 * of hash tables, so that two conversions of one model differ in their bytes.
 */
export function canonicalOrt(root: Table): Uint8Array {
  return encodeFlatBuffer(ortTables, 'InferenceSession', sortedTable(root), 'ORTM');
}

function sortedTable(value: Table): Table {
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, sortedValue(name, item)]));
}

function sortedValue(name: string, value: FieldValue): FieldValue {
  if (Array.isArray(value)) {
    if (value.length === 0 || !isTable(value[0])) return value;
    const rows = (value as Table[]).map(sortedTable);
    const key = unordered[name];
    return key === undefined ? rows : rows.sort((a, b) => byText(String(a[key] ?? ''), String(b[key] ?? '')));
  }
  return isTable(value) ? sortedTable(value) : value;
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** Order by code unit, the one in which the runtime looks keys up (ASCII). */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

type Types = ReadonlyMap<string, string | undefined>;

/** Every node, subgraphs included, in order. */
export function ortNodes(root: Table): OrtNode[] {
  const graph = (root.model as Table | undefined)?.graph as Table | undefined;
  return graph ? [...nodesOf(graph, new Map())] : [];
}

function* nodesOf(graph: Table, outer: Types): Generator<OrtNode> {
  const types = new Map(outer);
  for (const info of rows(graph.node_args)) types.set(String(info.name), typeName(info.type as Table | undefined));
  const typesOf = (names: FieldValue): (string | undefined)[] =>
    ((names ?? []) as string[]).map((name) => (name === '' ? undefined : types.get(name)));
  for (const node of rows(graph.nodes)) {
    yield {
      domain: String(node.domain ?? '') || 'ai.onnx',
      op: String(node.op_type),
      sinceVersion: Number(node.since_version ?? 0),
      inputTypes: typesOf(node.inputs),
      outputTypes: typesOf(node.outputs),
    };
    for (const { g, graphs } of rows(node.attributes)) {
      for (const inner of g === undefined ? rows(graphs) : [g as Table]) yield* nodesOf(inner, types);
    }
  }
}

function rows(value: FieldValue): readonly Table[] {
  return (value ?? []) as readonly Table[];
}

/** Sequences go by the type of their elements, as the runtime's own tools have it. */
function typeName(info: Table | undefined): string | undefined {
  const chosen = info?.value as { type: string; value: Table } | undefined;
  if (!chosen) return undefined;
  const { type, value } = chosen;
  if (type === 'TensorTypeAndShape') return typeNames[Number(value.elem_type ?? 0)];
  if (type === 'SequenceType') return typeName(value.elem_type as Table);
  return `std::map<${typeNames[Number(value.key_type ?? 0)]},${typeName(value.value_type as Table)}>`;
}
