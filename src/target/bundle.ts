import type { OptionTable, OptionValues } from '../pass/options.ts';
import type { BundleResult } from '../report/report.ts';
import { planBundle, resolveTargetOptions } from './plan.ts';
import type { Artifact, Target } from './target.ts';
import { type WriteOptions, writeBundle } from './write.ts';

/**
 * Plans and writes a bundle of `artifact` for `target` into `outDir`. `dir` of the result is `outDir` as it was given.
 * @throws UserError when the target cannot take the model, an option is wrong, or the folder cannot be written.
 */
export async function buildBundle<T extends OptionTable>(
  target: Target<T>,
  artifact: Artifact,
  options: Partial<OptionValues<T>>,
  outDir: string,
  write: WriteOptions = {},
): Promise<BundleResult> {
  const resolved = resolveTargetOptions(target, options);
  const apart = target.weightsApart?.(resolved) ? await artifact.workshop?.apart?.() : undefined;
  try {
    const plan = await planBundle(target, apart ? { ...artifact, files: apart.files } : artifact, options);
    const { bytes, files } = await writeBundle(plan, outDir, write);
    return { target: target.id, dir: outDir, variant: artifact.variant, bytes, files };
  } finally {
    await apart?.remove();
  }
}
