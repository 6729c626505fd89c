import { tensor as tensorAttr } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Graph, Model, Node, Value } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Trace } from '../../../src/pass/pass.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { standingIn } from '../linear.ts';
import { Casts } from './casts.ts';
import { fitOf } from './constants.ts';
import { type ElementTypes, typeAttributes } from './element-types.ts';
import { type HalfFormat, storedAs } from './format.ts';
import type { Plan, Precision } from './plan.ts';

/** One place that reads a constant: an input of a node, or an output of a graph. */
interface Demand {
  readonly graph: Graph;
  readonly node: Node | undefined;
  readonly precision: Precision;
  readonly set: (value: Value) => void;
}

/** Constants larger than this are not stored twice for readers of both precisions, but cast. */
const largestCopy = 64 * 1024;

/** Carries a plan out: casts where precisions meet, types, attributes and constants in half precision. */
export function convert(model: Model, plan: Plan, types: ElementTypes, format: HalfFormat, trace: Trace): void {
  const casts = new Casts(format);
  const constants = new Map<Value, Demand[]>();
  const retyped = new Set<Value>();
  const place = (value: Value | undefined, demand: Demand): void => {
    if (!value || !types.isFloat32(value)) return;
    if (constantOf(value)) {
      const known = constants.get(value);
      if (known) known.push(demand);
      else constants.set(value, [demand]);
    } else if (plan.precisionOf(value) !== demand.precision)
      demand.set(casts.get(value, demand.graph, demand.precision));
  };

  for (const graph of plan.graphs) {
    for (const input of graph.inputs) note(input);
    for (const node of [...graph.nodes]) {
      if (!plan.classes.has(node)) continue;
      for (const [index, value] of [...node.inputs.entries()]) {
        place(value, {
          graph,
          node,
          precision: plan.demandOfInput(node, index),
          set: (by) => node.setInput(index, by),
        });
      }
      for (const output of node.outputs) if (output) note(output);
      if (plan.isHalfNode(node)) {
        if (types.isFloat32(node.outputs[0])) setTypeAttributes(node, format);
        trace.applied('half', node);
      }
    }
    for (const [index, value] of [...graph.outputs.entries()]) {
      const set = (by: Value): void => replaceOutput(graph, index, by, format, graph === model.graph);
      place(value, { graph, node: undefined, precision: plan.demandOfOutput(graph, index), set });
    }
  }
  for (const [value, demands] of constants) storeConstant(value, demands, casts, format, trace);
  for (const value of retyped) {
    if (value.type?.kind === 'tensor') value.type = { ...value.type, dtype: format.dtype };
    value.origin = undefined;
  }
  dropIdleCasts(plan, retyped, format);
  for (const node of casts.made) trace.applied('cast', node, `to ${node.output().dtype}`);

  function note(value: Value): void {
    if (types.isFloat32(value) && !constantOf(value) && plan.precisionOf(value) === 'half') retyped.add(value);
  }
}

/** Casts from float32 to float32 would be casts from half to half, which ONNX Runtime's cast removal makes invalid graphs of. */
function dropIdleCasts(plan: Plan, retyped: ReadonlySet<Value>, format: HalfFormat): void {
  for (const graph of plan.graphs) {
    for (const node of [...graph.nodes]) {
      const [from, to] = [node.input(0), node.outputs[0]];
      if (!node.is('Cast') || !from || !to || !retyped.has(to) || to.isGraphOutput) continue;
      if (!retyped.has(from) && from.dtype !== format.dtype) continue;
      graph.replaceUses(to, from);
      graph.remove(node);
    }
  }
}

/** Outputs of the main graph keep their names; those of bodies go by position. */
function replaceOutput(graph: Graph, index: number, by: Value, format: HalfFormat, keepName: boolean): void {
  const value = graph.outputs[index] as Value;
  if (keepName && by.name !== value.name) {
    const { name } = value;
    value.name = graph.freshName(`${name}_${by.dtype === 'float32' ? format.suffix : 'fp32'}`);
    by.name = name;
    by.doc = value.doc;
    by.meta = value.meta;
  }
  graph.setOutput(index, by);
  // Outputs may be declared with one symbol for dimensions that differ; between inner values the runtime would share memory by it.
  const { type } = value;
  if (!value.isGraphOutput && type?.kind === 'tensor' && type.shape?.some((dim) => typeof dim !== 'number'))
    value.type = tensorType(type.dtype);
}

/** Attributes that say what type comes out. A missing one that means float32 is written down. */
function setTypeAttributes(node: Node, format: HalfFormat): void {
  if (node.domain !== '') return;
  const carried = typeAttributes[node.op];
  if (carried && (node.attr(carried.name) || carried.default === 'float32'))
    node.setAttr(carried.name, dtypeCode(format.dtype));
  if (node.op === 'ConstantOfShape') {
    const value = node.attr('value');
    const tensor = value?.type === 'tensor' ? value.value : tensorFrom('float32', [1], Float32Array.of(0));
    node.setAttr('value', tensorAttr(storedAs(tensor, format)));
  }
}

/**
 * In half where all readers want that; in both precisions where they differ and it is small; else in float32 with a cast, which
 * is exact for the float readers and smaller than two copies.
 */
function storeConstant(value: Value, demands: readonly Demand[], casts: Casts, format: HalfFormat, trace: Trace): void {
  const tensor = constantOf(value);
  const half = demands.filter(({ precision }) => precision === 'half');
  const [first] = half;
  if (!tensor || !first) return;
  const { overAbove, overBelow, vanish } = fitOf(tensor);
  if (!format.wide && overAbove + overBelow + vanish > 0) {
    const where = value.producer ?? `"${value.name}"`;
    trace.applied('clamp', where, `${overAbove + overBelow} beyond ±65504, ${vanish} below 6e-8`);
  }
  if (half.length === demands.length) {
    trace.applied('constant', value.producer ?? `"${value.name}"`);
    setConstant(value, storedAs(tensor, format));
  } else if (tensor.byteLength <= largestCopy && first.node) {
    trace.applied('constant', value.producer ?? `"${value.name}"`, 'a second copy, beside the float32 one');
    const copy = addConstant(
      standingIn(first.node, value.graph),
      `${value.name}_${format.suffix}`,
      storedAs(tensor, format),
    );
    for (const { set } of half) set(copy);
  } else {
    for (const { graph, set } of half) set(casts.get(value, graph, 'half'));
  }
}

function setConstant(value: Value, tensor: Tensor): void {
  if (!value.producer) {
    value.graph.setInitializer(value, tensor);
    return;
  }
  value.producer.attrs.clear();
  value.producer.setAttr('value', tensorAttr(tensor));
  if (value.type?.kind === 'tensor') value.type = { ...value.type, dtype: tensor.dtype };
  value.origin = undefined;
}
