import { bindSymbols, type ShapeOverrides } from '../engine/feed-shapes.ts';
import { runtimeCeilings } from '../ir/ceilings.ts';
import { constantOf } from '../ir/constant.ts';
import type { Model, Node, Value } from '../ir/graph.ts';
import { inferShapes } from '../ir/infer/infer.ts';
import { countMacs } from '../ir/macs.ts';
import { modelStats } from '../ir/stats.ts';
import { printModel } from '../ir/text/print.ts';
import { tensorType, type ValueType } from '../ir/types.ts';
import { formatBytes, formatCount } from '../messages.ts';
import { hashFile } from '../onnx/hash.ts';
import { loadModel } from '../onnx/load.ts';
import type { Session } from './command.ts';
import { type FormatFacts, formatFacts, printFormats } from './inspect-formats.ts';
import { describeZeros, type ZeroFacts, zeroFacts } from './inspect-zeros.ts';
import { modelBytes } from './model-size.ts';
import { resolveModel } from './model-source.ts';
import { parseShapes } from './shapes.ts';
import { table } from './talk.ts';

interface InspectFlags {
  readonly inputShape?: readonly string[];
  readonly text?: boolean;
  readonly nodes?: boolean;
  readonly hash?: boolean;
  readonly run?: boolean;
  readonly zeros?: boolean;
}

/** The work of `mlpack inspect`. Weights are not read beyond the small constants that shapes depend on. */
export async function inspect(modelText: string, flags: InspectFlags, session: Session): Promise<void> {
  const { talk } = session;
  const source = await resolveModel(modelText, session);
  const model = await loadModel(source.file);
  if (flags.text && !session.json) {
    session.io.stdout.write(printModel(model));
    return;
  }
  const overrides = parseShapes(flags.inputShape ?? []);
  const bindings = bindSymbols(model, overrides);
  const options = { inputs: typesOf(model, overrides) };
  let inferred = inferShapes(model, options);
  if (flags.run) {
    const { fillShapes } = await import('../engine/fill-shapes.ts');
    talk.progress('run for shapes');
    if ((await fillShapes(model, { seed: 0, signal: session.io.signal })) > 0) inferred = inferShapes(model, options);
  }
  const stats = modelStats(model);
  const macs = countMacs(model, inferred, { bindings });
  const { graph } = model;
  const weightBytesByType = Object.fromEntries([...stats.byType].map(([type, { bytes }]) => [type, bytes]));
  const facts = {
    path: source.file,
    bytes: modelBytes(source.file, model),
    ...(flags.hash && { sha256: await hashFile(source.file) }),
    irVersion: model.irVersion,
    opsets: Object.fromEntries([...model.opsets].map(([domain, version]) => [domain || 'ai.onnx', version])),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
    parameters: stats.parameters,
    weightBytes: stats.bytes,
    weightBytesByType,
    nodes: stats.nodes,
    subgraphDepth: stats.depth,
    functions: model.functions.length,
    macs: macs.total,
    macsUnknown: macs.unknown.length,
    inputs: graph.inputs.filter((input) => input.initializer === undefined).map(describeValue),
    outputs: graph.outputs.map(describeValue),
    ops: Object.fromEntries(stats.ops),
    quantizable: quantizable(model),
    ...formatFacts(Object.fromEntries(stats.ops), weightBytesByType),
    ...(flags.zeros && { zeros: zeroFacts(model) }),
    warnings: warningsOf(model),
    ...(flags.nodes && { nodeList: nodeList(model) }),
    ...(flags.text && { text: printModel(model) }),
  };
  if (session.json) talk.json(facts);
  else print(facts, flags.inputShape !== undefined, session);
}

/** Inputs whose whole shape was given: axes without a name have no symbol to bind. */
function typesOf(model: Model, { shapes }: ShapeOverrides): ReadonlyMap<string, ValueType> {
  const types = new Map<string, ValueType>();
  for (const [name, shape] of shapes ?? []) {
    const dtype = model.graph.inputs.find((input) => input.name === name)?.dtype;
    if (dtype !== undefined) types.set(name, tensorType(dtype, shape));
  }
  return types;
}

function describeValue(value: Value): { name: string; type: string } {
  return { name: value.name, type: typeText(value.type) };
}

function typeText(type: ValueType | undefined): string {
  switch (type?.kind) {
    case 'tensor':
    case 'sparse_tensor':
      return `${type.dtype}${type.shape ? `[${type.shape.map((dim) => dim ?? '?').join(', ')}]` : ''}`;
    case 'sequence':
    case 'optional':
      return `${type.kind}(${typeText(type.element)})`;
    case 'map':
      return `map(${type.key}, ${typeText(type.value)})`;
    default:
      return '?';
  }
}

/** Weight input of operators that carry most weights, by operator. */
const weightInput: Readonly<Record<string, number>> = {
  Conv: 1,
  ConvTranspose: 1,
  MatMul: 1,
  Gemm: 1,
  LSTM: 1,
  GRU: 1,
  RNN: 1,
  Gather: 0,
};

interface Quantizable {
  readonly op: string;
  readonly nodes: number;
  readonly withConstantWeights: number;
  readonly weightBytes: number;
}

/** Heavy operators, how many have constant float weights, and how much of the file they are. Tied weights count once. */
function quantizable(model: Model): Quantizable[] {
  const rows = new Map<string, { nodes: number; withConstantWeights: number; weightBytes: number }>();
  const counted = new Set<unknown>();
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      const index = node.domain === '' ? weightInput[node.op] : undefined;
      if (index === undefined) continue;
      const row = rows.get(node.op) ?? { nodes: 0, withConstantWeights: 0, weightBytes: 0 };
      rows.set(node.op, row);
      row.nodes++;
      const tensor = constantOf(node.input(index));
      if (!tensor || (tensor.dtype !== 'float32' && tensor.dtype !== 'float16')) continue;
      row.withConstantWeights++;
      if (!counted.has(tensor)) row.weightBytes += tensor.byteLength;
      counted.add(tensor);
    }
  }
  return [...rows].map(([op, row]) => ({ op, ...row })).sort((a, b) => b.weightBytes - a.weightBytes);
}

function warningsOf(model: Model): string[] {
  const { runtime, irVersion, opsets } = runtimeCeilings;
  const warnings: string[] = [];
  for (const [domain, version] of model.opsets) {
    const highest = opsets.get(domain);
    if (highest === undefined || version <= highest) continue;
    warnings.push(
      `opset ${version} of ${domain || 'ai.onnx'} is newer than ${runtime} accepts (${highest}); export with an older one.`,
    );
  }
  if (model.irVersion > irVersion) {
    warnings.push(`IR version ${model.irVersion} is newer than ${runtime} accepts (${irVersion}).`);
  }
  return warnings;
}

function nodeList(model: Model): { node: string; outputs: string[] }[] {
  const list: { node: string; outputs: string[] }[] = [];
  const describe = (node: Node): void => {
    list.push({
      node: String(node),
      outputs: node.outputs.map((value) => (value ? `${value.name}: ${typeText(value.type)}` : '–')),
    });
  };
  for (const graph of model.graphs()) for (const node of graph.nodes) describe(node);
  return list;
}

type Facts = FormatFacts & {
  readonly [K in 'path' | 'producer']: string;
} & {
  readonly [K in
    | 'bytes'
    | 'irVersion'
    | 'parameters'
    | 'weightBytes'
    | 'nodes'
    | 'subgraphDepth'
    | 'functions'
    | 'macs'
    | 'macsUnknown']: number;
} & {
  readonly sha256?: string;
  readonly opsets: Readonly<Record<string, number>>;
  readonly weightBytesByType: Readonly<Record<string, number>>;
  readonly inputs: readonly { name: string; type: string }[];
  readonly outputs: readonly { name: string; type: string }[];
  readonly ops: Readonly<Record<string, number>>;
  readonly quantizable: readonly Quantizable[];
  readonly warnings: readonly string[];
  readonly zeros?: ZeroFacts;
  readonly nodeList?: readonly { node: string; outputs: string[] }[];
};

/** 1234 → `1,234`, 43123456 → `43.12 M`, 5.6e9 → `5.600 G`. */
function formatMacs(macs: number): string {
  if (macs < 1e5) return formatCount(macs);
  return macs < 1e9 ? `${(macs / 1e6).toPrecision(4)} M` : `${(macs / 1e9).toPrecision(4)} G`;
}

/** At which inputs multiplications were counted, where these may have other shapes. */
function macsAt(inputs: Facts['inputs'], given: boolean): string {
  if (given) return ' at the inputs given';
  const open = inputs.some(({ type }) => /\[.*[^\d, \]].*\]/.test(type));
  return open ? ' at the smallest inputs; --input-shape batch=1,… sets symbols' : '';
}

function print(facts: Facts, shaped: boolean, { talk }: Session): void {
  const { style } = talk;
  const opsets = Object.entries(facts.opsets).map(([domain, version]) => `${domain} ${version}`);
  const weights = Object.entries(facts.weightBytesByType).map(([type, bytes]) => `${type} ${formatBytes(bytes)}`);
  const macs =
    facts.macs > 0
      ? `${formatMacs(facts.macs)}${facts.macsUnknown > 0 ? ` (and ${facts.macsUnknown} heavy nodes of unknown shape)` : ''}`
      : 'unknown';
  const rows: [string, string][] = [
    ['file', `${facts.path}  ${formatBytes(facts.bytes)}`],
    ...(facts.sha256 ? [['sha256', facts.sha256] as [string, string]] : []),
    ['made by', `${facts.producer || 'unknown'} · IR ${facts.irVersion} · ${opsets.join(', ')}`],
    ['parameters', `${formatCount(facts.parameters)} (${weights.join(', ') || 'none'})`],
    ...(facts.zeros ? [['zeros', describeZeros(facts.zeros)] as [string, string]] : []),
    ['MACs', `${macs}${facts.macs > 0 ? macsAt(facts.inputs, shaped) : ''}`],
    [
      'nodes',
      `${formatCount(facts.nodes)}${facts.subgraphDepth > 0 ? `, subgraphs ${facts.subgraphDepth} deep` : ''}${facts.functions > 0 ? `, ${facts.functions} functions` : ''}`,
    ],
    ...facts.inputs.map((one): [string, string] => ['input', `${one.name}: ${one.type}`]),
    ...facts.outputs.map((one): [string, string] => ['output', `${one.name}: ${one.type}`]),
  ];
  talk.out(table(rows.map(([name, text]) => [style.bold(name), text])));
  talk.out('');
  talk.out(
    `${style.bold('operators')}  ${Object.entries(facts.ops)
      .map(([op, count]) => `${op} ${count}`)
      .join(', ')}`,
  );
  if (facts.quantizable.length > 0) {
    talk.out('');
    const header = ['can be quantized', 'nodes', 'constant weights', 'bytes', 'of file'].map((text) => style.dim(text));
    const lines = facts.quantizable.map((row) => [
      row.op,
      String(row.nodes),
      String(row.withConstantWeights),
      formatBytes(row.weightBytes),
      `${((100 * row.weightBytes) / Math.max(facts.bytes, 1)).toFixed(0)} %`,
    ]);
    talk.out(table([header, ...lines], [1, 2, 3, 4]));
  }
  printFormats(
    facts,
    facts.quantizable.some(({ weightBytes }) => weightBytes > 0),
    talk,
  );
  if (facts.nodeList) {
    talk.out('');
    for (const { node, outputs } of facts.nodeList) talk.out(`${node}  → ${outputs.join(' · ')}`);
  }
  for (const warning of facts.warnings) talk.warn(warning);
}
