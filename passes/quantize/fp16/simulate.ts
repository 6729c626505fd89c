import { constantOf } from '../../../src/ir/constant.ts';
import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { f16ToF32, f32ToF16 } from '../../../src/kernels/f16.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { standingIn } from '../linear.ts';
import type { ElementTypes } from './element-types.ts';
import type { Plan } from './plan.ts';

/**
 * Makes a float32 model that rounds where the plan would have halves: constants, what enters half nodes (those that move elements among them), what they give out. It computes what
 * a processor does that stores float16 and adds up in float32. (The converted model itself would flatter: on the CPU, ONNX Runtime computes
 * neighbouring half nodes in float32 and leaves the rounding between them out.)
 */
export function simulateHalf(plan: Plan, types: ElementTypes): void {
  const ofKinds = (...kinds: readonly string[]): Node[] =>
    [...plan.classes].filter(([node, { kind }]) => kinds.includes(kind) && plan.isHalfNode(node)).map(([node]) => node);
  const entering = new Map<Value, { node: Node; index: number }[]>();
  // What only moves elements rounds what it is given, too: its float readers get no more than that.
  for (const node of ofKinds('half', 'mover')) {
    for (const [index, value] of node.inputs.entries()) {
      if (!value || !types.isFloat32(value) || plan.demandOfInput(node, index) !== 'half') continue;
      if (constantOf(value)) roundConstant(node, index, value);
      else if (plan.precisionOf(value) === 'float')
        entering.set(value, [...(entering.get(value) ?? []), { node, index }]);
    }
  }
  const leaving = ofKinds('half', 'maker').flatMap((node) =>
    node.outputs.filter(
      (value): value is Value => value !== undefined && types.isFloat32(value) && plan.precisionOf(value) === 'half',
    ),
  );
  for (const [value, places] of entering) {
    const rounded = roundTrip(value);
    for (const { node, index } of places) node.setInput(index, rounded);
  }
  for (const value of leaving) {
    const [first] = value.uses.length > 0 || value.isGraphOutput ? [roundTrip(value)] : [];
    if (!first) continue;
    const { isGraphOutput } = value;
    value.graph.replaceUses(value, first);
    if (isGraphOutput && value.type?.kind === 'tensor') {
      first.type = value.type;
      if (value.shape?.some((dim) => typeof dim !== 'number')) value.type = tensorType(value.type.dtype);
    }
    // The cast that reads it was among the readers.
    first.producer?.input(0)?.producer?.setInput(0, value);
  }
}

const rounded = new WeakMap<object, Float32Array>();

function roundConstant(node: Node, index: number, value: Value): void {
  const tensor = constantOf(value);
  if (!tensor) return;
  const data = rounded.get(tensor) ?? f16ToF32(f32ToF16(typedArray(tensor, 'float32'), true));
  rounded.set(tensor, data);
  const copy = addConstant(
    standingIn(node, value.graph),
    `${value.name}_rounded`,
    tensorFrom('float32', tensor.shape, data),
  );
  node.setInput(index, copy);
}

/** value → float16 → float32, right behind where it is made. */
function roundTrip(value: Value): Value {
  const { graph } = value;
  // The declared symbols of an output may lie; nothing inside is to rely on them.
  const fixed = value.shape?.every((dim) => typeof dim === 'number') ?? false;
  const anchor = value.producer ? value.producer.next : graph.firstNode;
  const cast = (from: Value, dtype: 'float16' | 'float32'): Value => {
    const init = {
      inputs: [from],
      attrs: { to: dtypeCode(dtype) },
      types: [tensorType(dtype, fixed ? value.shape : undefined)],
    };
    return (anchor ? graph.insertBefore(anchor, 'Cast', init) : graph.append('Cast', init)).output();
  };
  return cast(cast(value, 'float16'), 'float32');
}
