import type { Dataset } from '../data/dataset.ts';
import type { MakeJudge } from '../pass/judge.ts';
import type { Activations, Compute, PassContext } from '../pass/pass.ts';
import type { Session } from './command.ts';
import { deferredActivations } from './deferred-activations.ts';
import type { ModelSource } from './model-source.ts';

/**
 * What passes get beside the model. Activations come from the dataset given with `--data`; nothing is opened or
 * loaded before a pass asks.
 */
export async function createContext(
  source: ModelSource,
  flags: {
    readonly seed: number;
    readonly data?: string | undefined;
    readonly allowModules?: boolean | undefined;
    readonly provider?: string | undefined;
    readonly cache?: boolean | undefined;
    readonly calibrationSamples?: number | undefined;
  },
  session: Session,
): Promise<Omit<PassContext, 'applied' | 'skipped'> & { readonly judge: MakeJudge }> {
  const { seed } = flags;
  const { signal } = session.io;
  const named = flags.data ?? source.data;
  const { allowModules = false } = flags;
  const data =
    named === undefined
      ? undefined
      : await (await import('./data.ts')).openData(source, flags.data, session, undefined, { allowModules });
  let compute: Compute | undefined;
  return {
    compute: {
      run: async (model, feeds, options) => {
        compute ??= (await import('../engine/compute.ts')).createCompute();
        return await compute.run(model, feeds, options);
      },
      freeBytes: () => process.availableMemory(),
    },
    activations: data && (await activationsOf(data, flags, session)),
    madeUpActivations: deferredActivations(async () => {
      const { createSyntheticActivations } = await import('../engine/activations.ts');
      return createSyntheticActivations({ seed, signal });
    }),
    ownText: async (model) => {
      const { createOwnTextActivations } = await import('../engine/activations.ts');
      return await createOwnTextActivations(model, { seed, signal });
    },
    judge: async (base, options) => {
      const { createJudge } = await import('../engine/judge.ts');
      const { provider } = flags;
      return await createJudge(data, { seed, signal, ...(provider !== undefined && { provider }) })(base, options);
    },
    signal,
    seed,
  };
}

async function activationsOf(
  data: Dataset,
  {
    seed,
    cache,
    calibrationSamples,
  }: {
    readonly seed: number;
    readonly cache?: boolean | undefined;
    readonly calibrationSamples?: number | undefined;
  },
  session: Session,
): Promise<Activations> {
  const { createActivations } = await import('../engine/activations.ts');
  const plain = createActivations(data, {
    seed,
    signal: session.io.signal,
    ...(calibrationSamples !== undefined && { samples: calibrationSamples }),
  });
  if (cache === false) return plain;
  const { rememberCalibration } = await import('./calibration-cache.ts');
  return rememberCalibration(plain, data, seed, session);
}
