import { constantOf } from '../../src/ir/constant.ts';
import { capturedValues, type Node, type Value } from '../../src/ir/graph.ts';
import type { Known } from './known.ts';
import type { Purity } from './purity.ts';

/** Quantized models stay quantized: these nodes are what runtimes recognize the formats by. */
const quantization = new Set(['QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear']);

/** Their outputs are no tensors, so they cannot become initializers. */
const containers = new Set([
  'SequenceEmpty',
  'SequenceConstruct',
  'SequenceInsert',
  'SequenceErase',
  'SequenceMap',
  'SplitToSequence',
  'Optional',
  'OptionalGetElement',
]);

/** Their result can be far larger than their inputs: computed only when its size is known beforehand. */
const expanding = new Set([
  'ConstantOfShape',
  'Expand',
  'Tile',
  'Range',
  'OneHot',
  'Pad',
  'Resize',
  'Upsample',
  'Loop',
  'Scan',
  'If',
  'EyeLike',
  'MatMul',
  'Gather',
  'GatherND',
  'GatherElements',
]);

/** Largest intermediate result that is computed, in bytes. */
const largestResult = 1 << 30;

export type Verdict = { readonly foldable: true } | { readonly foldable: false; readonly why: string | undefined };

/**
 * Whether a node whose operands are all constant (`isConstant`) may be computed once and for all. `why` is undefined
 * where it is nothing a user would ask about (operands that are not constant).
 */
export function judge(node: Node, isConstant: (value: Value) => boolean, purity: Purity, known: Known): Verdict {
  const no = (why?: string): Verdict => ({ foldable: false, why });
  if (node.outputs.length === 0 || node.is('Constant')) return no();
  const open = node.inputs.filter((value) => value !== undefined).filter((value) => !isConstant(value));
  if (open.length > 0) {
    // Only initializers that are inputs too stand in the way: worth a word.
    const overridable = open.every((value) => value.initializer !== undefined) ? open[0] : undefined;
    return no(overridable && `"${overridable.name}" is an input too, so a caller may override it`);
  }
  for (const attr of node.attrs.values()) if (attr.type === 'ref') return no();
  if (node.subgraphs.length > 0) {
    const captured = capturedValues(node).find((value) => !isConstant(value));
    if (captured) return no();
  }
  // An Identity between a constant and a graph output gives the output its name.
  if (node.is('Identity') && node.outputs[0]?.isGraphOutput) return no();
  const impure = purity.impure(node);
  if (impure) return no(impure);
  if (quantization.has(node.op) || (node.domain === 'com.microsoft' && node.op.includes('Quant'))) {
    return no(`${node.op} of constants is how the model stores quantized weights`);
  }
  if (node.domain === '' && containers.has(node.op)) return no(`${node.op} does not give a tensor`);
  if (node.graph.model?.functions.some((fn) => fn.name === node.op && fn.domain === node.domain)) {
    return no('it calls a function of the model');
  }
  if (node.is('TopK') && (known.shape(node.input(0))?.includes(0) ?? true))
    return no('ONNX Runtime ends the whole process on a TopK of no elements');
  for (const output of node.outputs) {
    if (!output) continue;
    if ((known.type(output)?.kind ?? 'tensor') !== 'tensor') return no(`"${output.name}" is no tensor`);
    const bytes = known.bytes(output);
    if (bytes === undefined && expanding.has(node.op)) return no('how large its result is cannot be told beforehand');
    if (bytes !== undefined && bytes > largestResult) return no(`its result takes ${bytes} bytes`);
  }
  return { foldable: true };
}

/** Bytes a constant takes in the file; 0 for other values. */
export function constantBytes(value: Value): number {
  return constantOf(value)?.byteLength ?? 0;
}
