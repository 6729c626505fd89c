import { fuse } from '../../passes/fuse/fuse.ts';
import { simplify } from '../../passes/simplify/simplify.ts';
import { createCompute } from '../engine/compute.ts';
import { cloneModel } from '../ir/clone.ts';
import type { Model } from '../ir/graph.ts';
import { inferShapes } from '../ir/infer/infer.ts';
import { runSteps } from '../pass/pipeline.ts';
import type { GoldenCase } from '../target/target.ts';

/** Weights that are stored in 8 bits and cast to floats, which only a runtime computes when it loads a file. */
const maxGrowth = 4;

/**
 * What targets without a runtime compile from: a copy of the model with every input fixed at its shape in `golden`,
 * shape arithmetic and constants folded, batch norms fused, and types of all values inferred. Dimensions that follow from data stay open.
 */
export async function staticGraph(model: Model, golden: GoldenCase, signal: AbortSignal): Promise<Model> {
  const copy = cloneModel(model);
  const inputShape = golden.inputs
    .filter(({ name, shape }) => shape.length > 0 && copy.graph.inputs.some((value) => value.name === name))
    .map(({ name, shape }) => `${name}=${shape.join('x')}`);
  await runSteps(copy, [simplify({ inputShape, maxGrowth }), fuse(), simplify({ maxGrowth })], {
    context: { compute: createCompute(), activations: undefined, signal, seed: 0 },
  });
  const { types } = inferShapes(copy);
  // What the outputs were declared with are symbols of the model as it came; here they are numbers.
  for (const output of copy.graph.outputs) {
    const type = types.get(output);
    if (type?.kind === 'tensor' && type.shape?.every((dim) => typeof dim === 'number')) output.type = type;
  }
  return copy;
}
