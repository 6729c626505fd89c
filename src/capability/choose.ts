import { hasCpuKernel } from './kernels.ts';
import { capabilityOf, type Standing } from './providers.ts';

/** A variant that was not built, and why. */
export interface LeftOut {
  readonly variant: string;
  readonly why: string;
}

/** Worth building on some provider: wins time, or size at the same speed. */
const worth: ReadonlySet<Standing> = new Set(['fast', 'size']);

/**
 * Which of the variants to build for these providers: those that one of them gains by. The others come with the reason of the first
 * provider. Variants that the table does not know (base, fp32, mixed, a user's own) are always built.
 */
export function worthBuilding(
  variants: readonly string[],
  providers: readonly string[],
): { readonly build: readonly string[]; readonly left: readonly LeftOut[] } {
  const build: string[] = [];
  const left: LeftOut[] = [];
  for (const variant of variants) {
    const known = providers.flatMap((provider) => capabilityOf(provider, variant) ?? []);
    const [first] = known;
    if (!first || known.some(({ standing }) => worth.has(standing))) build.push(variant);
    else
      left.push({
        variant,
        why: known.length === 1 ? first.why : known.map(({ provider, why }) => `${provider}: ${why}`).join('; '),
      });
  }
  return { build, left };
}

/** Heavy operators of a model that the CPU has no half kernels for: `Conv, Gemm`. */
export function withoutHalfKernels(ops: Iterable<string>): string[] {
  return [...ops].filter((op) => heavy.has(op) && hasCpuKernel(op, 'float16') === false);
}

const heavy = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'LSTM', 'GRU', 'RNN', 'com.microsoft.Attention']);
