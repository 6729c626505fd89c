import type { MakeJudge } from '../pass/judge.ts';
import type { PassContext } from '../pass/pass.ts';
import type { Session } from './command.ts';
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
    readonly provider?: string | undefined;
    readonly cache?: boolean | undefined;
  },
  session: Session,
): Promise<Omit<PassContext, 'applied' | 'skipped'> & { readonly judge: MakeJudge }> {
  const { createCompute } = await import('../engine/compute.ts');
  const { createActivations, createSyntheticActivations } = await import('../engine/activations.ts');
  const { createJudge } = await import('../engine/judge.ts');
  const { openData } = await import('./data.ts');
  const data = await openData(source, flags.data, session);
  const plain = data && createActivations(data, { seed: flags.seed, signal: session.io.signal });
  const { rememberCalibration } = await import('./calibration-cache.ts');
  return {
    compute: createCompute(),
    activations: plain && data && flags.cache !== false ? rememberCalibration(plain, data, flags.seed, session) : plain,
    madeUpActivations: createSyntheticActivations({ seed: flags.seed, signal: session.io.signal }),
    judge: createJudge(data, {
      seed: flags.seed,
      signal: session.io.signal,
      ...(flags.provider !== undefined && { provider: flags.provider }),
    }),
    signal: session.io.signal,
    seed: flags.seed,
  };
}
