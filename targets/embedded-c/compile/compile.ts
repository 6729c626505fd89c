import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { compileConv } from '../ops/conv.ts';
import { compileConvTranspose } from '../ops/conv-transpose.ts';
import { storeElementwise } from '../ops/element-loops.ts';
import { compileElementwise, elementwiseOps } from '../ops/elementwise.ts';
import { compileGather, compileScatterNd } from '../ops/gather.ts';
import { compileGemm, compileMatMul } from '../ops/matmul.ts';
import { compileBlocks, compileConcat, compileSlice, compileSplit, compileTranspose } from '../ops/move.ts';
import { compileGlobalPool, compilePool } from '../ops/pool.ts';
import { compileRecurrent } from '../ops/recurrent.ts';
import { compileArg, compileNormalization, compileReduce, compileSoftmax, reduceOps } from '../ops/reduce.ts';
import { compileExpand, compilePad, compileTile } from '../ops/repeat.ts';
import { compileResize } from '../ops/resize.ts';
import { Compiler } from './compiler.ts';
import { type MemoryPlan, planMemory } from './memory.ts';
import { type Block, CannotCompile, cannot, type Ref, type Step } from './types.ts';

/** A model as a list of steps in C, every block of memory in its place. */
export interface Program {
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
  readonly steps: readonly Step[];
  readonly constants: Compiler['constants'];
  readonly kernels: ReadonlySet<string>;
  readonly memory: MemoryPlan;
}

export interface Port {
  readonly value: Value;
  readonly ref: Ref;
}

type Handler = (compiler: Compiler, node: Node, opset: number) => void;

const view: Handler = (compiler, node) => compiler.view(node.output(), compiler.input(node, 0));

const handlers: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ...[...elementwiseOps].map((op): [string, Handler] => [op, compileElementwise]),
  ...reduceOps.map((op): [string, Handler] => [op, compileReduce]),
  // Read where they are needed.
  ['Constant', () => undefined],
  ['Conv', compileConv],
  ['ConvTranspose', compileConvTranspose],
  ['Gemm', compileGemm],
  ['MatMul', compileMatMul],
  ['MaxPool', compilePool],
  ['AveragePool', compilePool],
  ['GlobalAveragePool', compileGlobalPool],
  ['GlobalMaxPool', compileGlobalPool],
  ['Reshape', view],
  ['Flatten', view],
  ['Squeeze', view],
  ['Unsqueeze', view],
  ['Dropout', view],
  ['Identity', view],
  ['Expand', compileExpand],
  ['Transpose', compileTranspose],
  ['Concat', compileConcat],
  ['Slice', compileSlice],
  ['Split', compileSplit],
  ['Pad', compilePad],
  ['Tile', compileTile],
  ['Gather', compileGather],
  ['ScatterND', compileScatterNd],
  ['DepthToSpace', compileBlocks],
  ['SpaceToDepth', compileBlocks],
  ['Resize', compileResize],
  ['Upsample', compileResize],
  ['Softmax', compileSoftmax],
  ['LogSoftmax', compileSoftmax],
  ['ArgMax', compileArg],
  ['ArgMin', compileArg],
  ['LayerNormalization', compileNormalization],
  ['RMSNormalization', compileNormalization],
  ['InstanceNormalization', compileNormalization],
  ['GroupNormalization', compileNormalization],
  ['LSTM', compileRecurrent],
  ['GRU', compileRecurrent],
  ['RNN', compileRecurrent],
]);

const programs = new WeakMap<Model, Program | string[]>();

/** What has kernels for floats alone; elementwise operators, moves and pools say for themselves. */
const floatOnly: ReadonlySet<string> = new Set(
  'Conv ConvTranspose Gemm MatMul AveragePool GlobalAveragePool GlobalMaxPool Softmax LogSoftmax LayerNormalization RMSNormalization InstanceNormalization GroupNormalization LSTM GRU RNN'.split(
    ' ',
  ),
);

/** Compiles a graph once. @returns the program, or sentences on what stands in the way */
export function compileModel(model: Model): Program | string[] {
  const known = programs.get(model);
  if (known) return known;
  const made = compileNow(model);
  programs.set(model, made);
  return made;
}

function compileNow(model: Model): Program | string[] {
  const unknown = new Map<string, Node>();
  for (const node of model.graph.nodes) {
    const name = node.domain === '' ? node.op : `${node.domain}:${node.op}`;
    if ((node.domain !== '' || !handlers.has(node.op)) && !unknown.has(name)) unknown.set(name, node);
  }
  if (unknown.size > 0) {
    const list = [...unknown].map(([name, node]) => `${name} ("${node.name || node.outputs[0]?.name}")`).join(', ');
    return [`The generated C code has no ${list}.`];
  }
  try {
    return build(model);
  } catch (error) {
    if (error instanceof CannotCompile) return [error.message];
    throw error;
  }
}

function build(model: Model): Program {
  const compiler = new Compiler(model.graph);
  compiler.store = (value, lazy) => storeElementwise(compiler, value, lazy);
  const opset = model.opset;
  for (const node of model.graph.nodes) {
    if (compiler.done.has(node)) continue;
    if (node.outputs.every((value) => value === undefined || (value.isGraphOutput === false && value.useCount === 0)))
      continue;
    const type = floatOnly.has(node.op) ? compiler.typeOf(compiler.input(node, 0)).type : 'f32';
    if (type !== 'f32') cannot(node, `it works on ${type}, and is known for floats only`);
    handlers.get(node.op)?.(compiler, node, opset);
  }
  compiler.finish();
  const outputs = model.graph.outputs.map((value, at) => ({ value, ref: outputRef(compiler, value, at) }));
  const steps = compiler.steps;
  const memory = planMemory(steps);
  const used = new Set<Block>(steps.flatMap(({ reads }) => reads.map(({ block }) => block)));
  return {
    inputs: compiler.inputs,
    outputs,
    steps,
    constants: compiler.constants.filter(({ block }) => used.has(block)),
    kernels: compiler.kernels,
    memory,
  };
}

/** Where output `at` is written: the last step that writes the caller's block. */
function outputRef(compiler: Compiler, value: Value, at: number): Ref {
  const { type, shape } = compiler.typeOf(value);
  for (const step of compiler.steps)
    for (const ref of step.writes)
      if (ref.block.kind === 'output' && ref.block.name === `out${at}`) return { ...ref, type, shape };
  throw new CannotCompile(`Output "${value.name}" is never written.`);
}
