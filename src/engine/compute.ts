import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Compute } from '../pass/pass.ts';
import { openModel } from './open-model.ts';
import type { Session } from './session.ts';

/**
 * ONNX Runtime on the CPU as a calculator, its optimizer off: what comes out is what the nodes as written compute. Sessions of models that are
 * run again are let go with their models. They take no memory for later. (4-bit GPTQ of a small BERT, with what its kernels gained: 8.9 → 8.1 s on
 * a quiet machine, 13.7 → 9.0 s on a busy one, where ending a session waits for its threads.)
 */
export function createCompute(): Compute {
  const kept = new WeakMap<Model, Promise<Session>>();
  const open = (model: Model, threads?: number): Promise<Session> =>
    openModel(model, {
      graphOptimizationLevel: 'disabled',
      label: 'a part of the model',
      arena: false,
      ...(threads !== undefined && { threads }),
    });
  return {
    async run(model: Model, feeds: ReadonlyMap<string, Tensor> = new Map(), { again = false } = {}) {
      if (again) {
        const session = kept.get(model) ?? open(model);
        kept.set(model, session);
        return await (await session).run(feeds);
      }
      // Making other threads and waiting for their end takes longer than most constants do.
      const session = await open(model, 1);
      try {
        return await session.run(feeds);
      } finally {
        await session.dispose();
      }
    },
    freeBytes: () => process.availableMemory(),
  };
}
