import { tensor as tensorAttr } from '../../src/ir/attr.ts';
import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import type { Tensor } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import type { PassContext, Trace } from '../../src/pass/pass.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { computeValues } from './compute-values.ts';
import { findRegion, foldRule, type GrowthBudget, growthSentence, isAllowed, type Region } from './fold-region.ts';
import type { Known } from './known.ts';
import { purityOf } from './purity.ts';

/** Constants may always grow by this much, whatever the factor: index tables of small models. */
const freeGrowth = 512 * 1024;

/** @param factor how large all constants together may become, relative to what they are now. */
export function growthBudget(model: Model, factor: number): GrowthBudget {
  return { factor, left: Math.max(freeGrowth, totalConstantBytes(model) * (factor - 1)) };
}

function totalConstantBytes(model: Model): number {
  let bytes = 0;
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) bytes += value.initializer?.byteLength ?? 0;
    for (const node of graph.nodes) if (node.is('Constant')) bytes += constantOf(node.outputs[0])?.byteLength ?? 0;
  }
  return bytes;
}

/**
 * Computes what depends on constants alone with ONNX Runtime and puts the results in its place. What the runtime cannot
 * compute stays, and goes into `failed` so that it is not tried again.
 */
export async function foldConstants(
  model: Model,
  known: Known,
  ctx: PassContext,
  budget: GrowthBudget,
  failed: Map<Node, string>,
): Promise<boolean> {
  let changed = false;
  for (let tried = -1; failed.size > tried; ) {
    tried = failed.size;
    const region = findRegion(model, purityOf(model), known, budget, new Set(failed.keys()), ctx);
    if (region.nodes.length === 0) break;
    const computed = await computeValues(model, region, known, ctx, failed);
    refuseGrown(region, computed, known, budget, failed);
    if (replace(model, region, computed, budget, ctx)) changed = true;
    // Where some could not be computed, what they read is still to be had.
  }
  for (const [node, why] of failed) if (!node.removed) ctx.skipped(foldRule, node, why);
  return changed;
}

/** Results that came out larger than was known beforehand (NonZero, Unique) are held against the budget now. */
function refuseGrown(
  region: Region,
  computed: Map<Value, Tensor>,
  known: Known,
  budget: GrowthBudget,
  failed: Map<Node, string>,
): void {
  let room = budget.left - region.growth;
  for (const [value, { byteLength }] of computed) {
    const counted = known.bytes(value) ?? 0;
    if (byteLength <= counted || !value.producer) continue;
    const made = region.sources.get(value) ?? 0;
    if (isAllowed(byteLength, made, budget.factor) && byteLength - counted <= room) room -= byteLength - counted;
    else {
      computed.delete(value);
      failed.set(value.producer, growthSentence(byteLength, made));
    }
  }
}

/** Puts computed results in their place and removes the nodes that nobody needs then. */
function replace(
  model: Model,
  region: Region,
  computed: ReadonlyMap<Value, Tensor>,
  budget: GrowthBudget,
  trace: Trace,
): boolean {
  const before = totalConstantBytes(model);
  let changed = false;
  for (const value of region.results) {
    const tensor = computed.get(value);
    if (!tensor || !value.producer) continue;
    putConstant(value.producer, value, tensor);
    changed = true;
  }
  // Readers come after what they read, so going back each node is unused when its turn comes.
  for (const node of [...region.nodes].reverse()) {
    if (node.removed || node.outputs.some((output) => output?.isUsed)) continue;
    trace.applied(foldRule, node);
    const inputs = new Set(node.inputs);
    node.graph.remove(node);
    for (const value of inputs) {
      if (value?.initializer && !value.isUsed && !value.isGraphInput) value.graph.removeInitializer(value);
    }
  }
  budget.left -= totalConstantBytes(model) - before;
  return changed;
}

/**
 * Readers of `value` read a constant of the same name. A graph output is made by a Constant node, since outputs need a
 * node that makes them.
 */
export function putConstant(anchor: Node, value: Value, tensor: Tensor): Value {
  const { graph } = anchor;
  const { name } = value;
  if (value.isGraphOutput) {
    const node = graph.insertBefore(anchor, 'Constant', {
      inputs: [],
      attrs: { value: tensorAttr(tensor) },
      types: [tensorType(tensor.dtype, tensor.shape)],
    });
    graph.replaceUses(value, node.output());
    return node.output();
  }
  const constant = addConstant(anchor, name, tensor);
  graph.replaceUses(value, constant);
  value.name = constant.name;
  constant.name = name;
  return constant;
}
