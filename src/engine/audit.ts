import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model, Node } from '../ir/graph.ts';
import { loadModel } from '../onnx/load.ts';
import type { Audit, AuditFinding } from '../report/report.ts';
import { explainNode } from './audit-rules.ts';
import { openModel } from './open-model.ts';
import { openSession, type SessionOptions } from './session.ts';

/** Ops that compute on quantized data or weights, whatever their domain. */
const quantizedOp =
  /^(QLinear\w+|QGemm|QAttention|QMoE|QEmbedLayerNormalization|QOrdered\w+|\w*Integer(ToFloat)?|DynamicQuantize(MatMul|LSTM)|MatMulNBits|MatMulBnb4|GatherBlockQuantized)$/;

/** Ops that cost enough for their precision to matter. */
const heavyOps = new Set([
  'Conv',
  'ConvTranspose',
  'FusedConv',
  'NhwcConv',
  'NhwcFusedConv',
  'DeformConv',
  'Gemm',
  'FusedGemm',
  'MatMul',
  'FusedMatMul',
  'TransposeMatMul',
  'Einsum',
  'Attention',
  'MultiHeadAttention',
  'GroupQueryAttention',
  'LSTM',
  'GRU',
  'RNN',
]);

/** Rearrangements that the optimizer adds and drops on its way: no fusions. */
const plumbing = new Set([
  'Cast',
  'Transpose',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'Identity',
  'Constant',
  'QuantizeLinear',
  'DequantizeLinear',
]);

/**
 * What ONNX Runtime makes of a model at optimization level *extended* on the CPU: its own graph is written out and
 * counted, and nodes that stayed in float although they were quantized are explained. (Level *all* adds layout changes
 * that depend on the machine.) The written graph is only parsed, never loaded.
 * @param model a file, or a model of the IR.
 * @throws UserError when the runtime refuses the model.
 */
export async function auditModel(
  model: Model | string,
  options: Pick<SessionOptions, 'extra' | 'label'> = {},
): Promise<Audit> {
  const original = typeof model === 'string' ? await loadModel(model) : model;
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-audit-'));
  try {
    await writeOptimized(model, dir, options);
    // Read inside the folder's life: data of big constants is fetched when a rule looks at it.
    return auditGraph(await loadModel(join(dir, optimizedFile)), original);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const optimizedFile = 'optimized.onnx';

/** Lets the runtime write the graph that it makes of the model. */
async function writeOptimized(model: Model | string, dir: string, options: SessionOptions): Promise<void> {
  const config: SessionOptions = {
    ...options,
    graphOptimizationLevel: 'extended',
    optimizedModelFilePath: join(dir, optimizedFile),
    // Weights beside the graph: any size can be written, and nothing of it need be read for counting.
    extra: {
      ...options.extra,
      'session.optimized_model_external_initializers_file_name': 'weights.bin',
      'session.optimized_model_external_initializers_min_size_in_bytes': '65536',
    },
  };
  const session = await (typeof model === 'string' ? openSession(model, config) : openModel(model, config));
  await session.dispose();
}

/** Counts an optimized graph; `original` is what the runtime was given. */
function auditGraph(optimized: Model, original: Model): Audit {
  let quantizedNodes = 0;
  let floatNodes = 0;
  let leftoverQdq = 0;
  let insertedCasts = 0;
  const findings: AuditFinding[] = [];
  for (const node of allNodes(optimized)) {
    if (quantizedOp.test(node.op)) quantizedNodes++;
    else if (heavyOps.has(node.op) && runsInFloat(node)) floatNodes++;
    if (isLeftover(node)) leftoverQdq++;
    if (node.op === 'Cast' && /^Inserted(PrecisionFree)?Cast/.test(node.name)) insertedCasts++;
    const why = explainNode(node);
    if (why !== undefined) findings.push({ node: nodeName(node), op: node.op, why });
  }
  return { quantizedNodes, floatNodes, leftoverQdq, insertedCasts, fusedOps: fusedOps(optimized, original), findings };
}

function* allNodes(model: Model): Generator<Node> {
  for (const graph of model.graphs()) yield* graph.nodes;
}

function nodeName(node: Node): string {
  return node.name || (node.outputs.find((output) => output !== undefined)?.name ?? '');
}

/** Half precision counts as float; nodes on integers (a MatMul of int32) do not. */
function runsInFloat(node: Node): boolean {
  const dtype = node.inputs.find((input) => input?.dtype !== undefined)?.dtype;
  return dtype === undefined || dtypeKind(dtype) === 'float';
}

/** A Q or DQ that the runtime executes inside the graph: not the one that quantizes an input or dequantizes an output. */
function isLeftover(node: Node): boolean {
  if (node.op === 'QuantizeLinear') return node.input(0)?.isGraphInput !== true;
  if (node.op === 'DequantizeLinear') return node.outputs[0]?.isGraphOutput !== true;
  return false;
}

/** Ops of which the optimized graph has more than the model: what the runtime fused or replaced. */
function fusedOps(optimized: Model, original: Model): Record<string, number> {
  const before = countOps(original);
  const fused: Record<string, number> = {};
  for (const [op, count] of countOps(optimized)) {
    const more = count - (before.get(op) ?? 0);
    if (more > 0 && !plumbing.has(op)) fused[op] = more;
  }
  return fused;
}

function countOps(model: Model): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { op } of allNodes(model)) counts.set(op, (counts.get(op) ?? 0) + 1);
  return counts;
}
