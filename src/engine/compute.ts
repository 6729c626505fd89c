import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Compute } from '../pass/pass.ts';
import { openModel } from './open-model.ts';

/** ONNX Runtime on the CPU as a calculator, its optimizer off: what comes out is what the nodes as written compute. */
export function createCompute(): Compute {
  return {
    async run(model: Model, feeds: ReadonlyMap<string, Tensor> = new Map()): Promise<Map<string, Tensor>> {
      const session = await openModel(model, { graphOptimizationLevel: 'disabled', label: 'a part of the model' });
      try {
        return await session.run(feeds);
      } finally {
        await session.dispose();
      }
    },
    freeBytes: () => process.availableMemory(),
  };
}
