import { hasMapOutputs, tensorOutputs } from '../../../passes/layout/tensor-outputs.ts';
import { presets } from '../../../passes/presets.ts';
import { worthBuilding } from '../../capability/choose.ts';
import { UserError } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import { suggestion } from '../../messages.ts';
import type { Step } from '../../pass/pass.ts';

/** One way of making the model smaller or faster. */
export interface VariantPlan {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** What can be built when nobody asks for others; which of them are depends on the providers. `base` is the model as it came. */
const candidates = [
  'base',
  'fp32',
  'fp32-runtime',
  'fp16',
  'int8',
  'uint8',
  'int8-static',
  'int8-wasm',
  'int4',
  'int4-dq',
  'q4f16',
  'pruned',
  'pruned-int8',
] as const;

/** Pays where this one does, and not elsewhere. */
const likewise = { 'pruned-int8': 'int8-static' } as const;

/** Made for this provider; the others have a variant of their own. */
const only: Readonly<Record<string, string>> = { 'int8-wasm': 'web-wasm', 'fp32-runtime': 'cpu' };

/** The default variants for these providers, and why the others would not pay there. */
export function defaultVariants(providers: readonly string[]): ReturnType<typeof worthBuilding> {
  const asked = candidates.filter(
    (name) => only[name] === undefined || providers.some((one) => one.split(':')[0] === only[name]),
  );
  const { build, left } = worthBuilding(asked, providers);
  const without = Object.entries(likewise).flatMap(([variant, of]) => {
    const why = left.find((one) => one.variant === of)?.why;
    return why === undefined ? [] : [{ variant, why }];
  });
  const out = new Set(without.map(({ variant }) => variant));
  return { build: build.filter((name) => !out.has(name)), left: [...left, ...without] };
}

/** Default variants that nothing can be said about without samples; asked for by name, they say so themselves. */
export const needsData = ({ name }: VariantPlan): boolean =>
  name === 'int8-static' || name === 'int8-wasm' || name === 'pruned' || name === 'pruned-int8';

/** Scores that no bundle could hand out, being maps, are a tensor in every variant; base stays the model as it came. */
export function forOutputsOf(model: Model, plans: readonly VariantPlan[]): readonly VariantPlan[] {
  if (!hasMapOutputs(model)) return plans;
  return plans.map((plan) => (plan.steps.length === 0 ? plan : { ...plan, steps: [tensorOutputs(), ...plan.steps] }));
}

/**
 * The variants to build, `base` always first: every comparison needs it.
 * @param own variants of the user's config; they shadow presets of the same name.
 * @throws UserError for a name that is neither.
 */
export function planVariants(names: readonly string[], own: ReadonlyMap<string, readonly Step[]>): VariantPlan[] {
  const plans: VariantPlan[] = [{ name: 'base', steps: [] }];
  for (const name of names) {
    if (plans.some((plan) => plan.name === name)) continue;
    const steps = own.get(name) ?? presets[name];
    if (!steps) {
      const known = [...new Set(['base', ...own.keys(), ...Object.keys(presets)])];
      throw new UserError(
        'variant.unknown',
        `there is no variant "${name}"${suggestion(name, known)}; there are ${known.join(', ')}, and those of a config file.`,
      );
    }
    plans.push({ name, steps });
  }
  return plans;
}
