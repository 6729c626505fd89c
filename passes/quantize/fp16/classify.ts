import type { Graph, Model, Node, Value } from '../../../src/ir/graph.ts';
import { isKept } from '../../../src/rewrite/keep.ts';
import { blockedOperators, movers, operatorKey } from './blocked.ts';
import { constantProblem } from './constants.ts';
import { controlSlots } from './control-flow.ts';
import type { ElementTypes } from './element-types.ts';
import type { HalfFormat } from './format.ts';
import { kernelProblem } from './kernels.ts';
import { quantizedUnit } from './quantized-unit.ts';
import { longReduction } from './reductions.ts';
import { canBeHalf, inputClass, laterHalf, outputClass, type Signature, signatureOf } from './signatures.ts';

/**
 * What a node may become.
 * half: computes in float16 · float: stays, `why` · mover: as its neighbours · maker: makes floats from other types, as its
 * readers · none: touches no float32 tensor · control: If, Loop, Scan (see their slots; `why` when it must stay).
 */
export interface NodeClass {
  readonly kind: 'half' | 'float' | 'mover' | 'maker' | 'none' | 'control';
  readonly rule?: string;
  readonly why?: string;
  readonly signature?: Signature;
}

export interface ClassifyOptions {
  readonly keep: readonly string[];
  readonly maxReduction: number;
  readonly format: HalfFormat;
  /** Nodes that activation ranges keep in float32. */
  readonly ranged: ReadonlyMap<Node, string>;
  /** Nodes that scale the model's inputs. */
  readonly scaling: ReadonlySet<Node>;
}

const makers = new Set(['Cast', 'ConstantOfShape']);

export function classify(model: Model, node: Node, types: ElementTypes, options: ClassifyOptions): NodeClass {
  const float = (rule: string, why: string): NodeClass => ({ kind: 'float', rule, why });
  const kept = isKept(node, options.keep);
  if (controlSlots(node))
    return kept
      ? { kind: 'control', rule: 'keep', why: 'you asked for it to stay as it is (--keep)' }
      : { kind: 'control' };
  const inputs = node.inputs.map((value, index) => ({ value, index })).filter(({ value }) => types.isFloat32(value));
  const outputs = node.outputs.map((value, index) => ({ value, index })).filter(({ value }) => types.isFloat32(value));
  if (node.op === 'Constant' && node.domain === '') return { kind: 'none' };
  if (inputs.length === 0 && outputs.length === 0) return { kind: 'none' };

  if (kept) return float('keep', 'you asked for it to stay as it is (--keep)');
  if (insideForeignGraph(node.graph))
    return float('schema', 'it stands in a subgraph of an operator whose types cannot be changed');
  if (model.functions.some((fn) => fn.domain === node.domain && fn.name === node.op)) {
    return float('schema', 'it calls a function of the model: inline the functions first');
  }
  const blocked = blockedOperators.get(operatorKey(node));
  if (blocked) return float('block-list', blocked);
  const noKernel = options.format.wide ? undefined : kernelProblem(node);
  if (noKernel) return float('block-list', noKernel);
  const signature = signatureOf(node.op, node.domain, model.opset);
  if (!signature)
    return float(
      'schema',
      `operator ${operatorKey(node)} of opset ${model.opset} is not known, nor whether it takes float16`,
    );
  const letters = [
    ...inputs.map(({ index }) => inputClass(signature, index)),
    ...outputs.map(({ index }) => outputClass(signature, index)),
  ];
  if (!letters.some(canBeHalf)) {
    const later = laterHalf(node.op, node.domain, model.opset);
    return float(
      'schema',
      later
        ? `${node.op} takes float16 from opset ${later} on, and the model is of opset ${model.opset}`
        : `${node.op} has no float16 form`,
    );
  }
  const formless = options.format.problem(node, model.opset);
  if (formless) return float('schema', formless);
  if (/[~]/.test(signature.inputs + signature.outputs))
    return float('sequence', 'sequences and optionals of tensors keep their element type');
  const unknown = node.inputs.find(
    (value, index) => value && canBeHalf(inputClass(signature, index)) && types.of(value) === undefined,
  );
  if (unknown)
    return float(
      'type',
      `the type of its input "${unknown.name}" is not known: give the value a type, or run simplify first`,
    );
  if (node.inputs.some((value, index) => canBeHalf(inputClass(signature, index)) && types.of(value) === 'other'))
    return float('sequence', 'sequences and optionals of tensors keep their element type');
  const unit = quantizedUnit(node);
  if (unit) return float('quantized', unit);
  for (const { value, index } of inputs) {
    const problem =
      !options.format.wide && canBeHalf(inputClass(signature, index))
        ? constantProblem(node, value as Value)
        : undefined;
    if (problem) return float('range', problem);
  }
  if (options.scaling.has(node))
    return float('input', 'it shifts or scales an input of the model, which comes in float32');
  const ranged = options.ranged.get(node);
  if (ranged) return float('range', ranged);
  const reduction = longReduction(node, types, options.maxReduction);
  if (reduction) return float('reduction', reduction);

  if (makers.has(node.op) && node.domain === '' && inputs.length === 0) return { kind: 'maker', signature };
  // Numbers on their way into another type are not worth a cast of their own.
  if (node.is('Cast') && outputs.length === 0) return { kind: 'mover', signature };
  if (movers.has(operatorKey(node)) && inputs.every(({ value }) => !isTable(value as Value)))
    return { kind: 'mover', signature };
  return { kind: 'half', signature };
}

/** A constant worth storing in half precision: then the node that reads it is no mere mover. */
function isTable(value: Value): boolean {
  const tensor = value.initializer ?? undefined;
  return tensor !== undefined && tensor.byteLength > 256;
}

/** Bodies of operators other than If, Loop and Scan have types that their operator prescribes. */
function insideForeignGraph(graph: Graph): boolean {
  for (let at: Graph | undefined = graph; at?.ownerNode; at = at.parent) if (!controlSlots(at.ownerNode)) return true;
  return false;
}
