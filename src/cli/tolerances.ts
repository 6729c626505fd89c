import { decidedPlaces } from '../engine/decided.ts';
import { dynamicSpread } from '../engine/dynamic-rounding.ts';
import { type RoundingSpread, roundingSpread } from '../engine/rounding.ts';
import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { GoldenCase } from '../target/target.ts';
import { dynamicTolerance, roundingTolerance, widest } from '../target/tolerance.ts';

type Feeds = ReadonlyMap<string, Tensor>;

export interface Recording {
  /** Inputs of each case, and what the model gave for them. */
  readonly feeds: readonly Feeds[];
  readonly answers: readonly Feeds[];
  readonly signal: AbortSignal;
}

/** The cases, each output with a tolerance of its own where one can be found out on the model: what rounding may do to it, and whether it is decided. */
export async function withTolerances(
  cases: readonly GoldenCase[],
  model: Model,
  { feeds, answers, signal }: Recording,
): Promise<GoldenCase[]> {
  const [first] = cases;
  if (!first) return [];
  const fixed = await unlessUnknown(signal, () => roundingSpread(model, feeds, signal));
  const dynamic = await unlessUnknown(signal, () => dynamicSpread(model, feeds, answers, signal));
  // Class ids that came out another way when ties were decided another way are not decided, whatever the scores say.
  const decided = fixed
    ? undefined
    : await unlessUnknown(signal, () => decidedPlaces(model, feeds, first.tolerance, signal));
  const sure = decided?.map((names) => new Set([...names].filter((name) => (dynamic?.get(name) ?? 0) === 0)));
  return cases.map((one, n) => withDecided(withSpread(one, fixed?.[n], dynamic), sure?.[n]));
}

/** Undefined where the model cannot be evaluated as it is written, so that nothing is known of it. */
async function unlessUnknown<T>(signal: AbortSignal, evaluate: () => Promise<T>): Promise<T | undefined> {
  try {
    return await evaluate();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return undefined;
  }
}

function withSpread(
  golden: GoldenCase,
  fixed: RoundingSpread | undefined,
  dynamic: RoundingSpread | undefined,
): GoldenCase {
  if (!fixed && !dynamic) return golden;
  const outputs = golden.outputs.map((output) => ({
    ...output,
    tolerance: widest([
      ...(fixed ? [roundingTolerance(fixed.get(output.name) ?? 0)] : []),
      ...(dynamic ? [dynamicTolerance(dynamic.get(output.name) ?? 0)] : []),
    ]),
  }));
  return { ...golden, outputs, tolerance: widest(outputs.map((output) => output.tolerance)) };
}

/** What is decided has to be met. */
function withDecided(golden: GoldenCase, decided: ReadonlySet<string> | undefined): GoldenCase {
  if (!decided || decided.size === 0) return golden;
  const outputs = golden.outputs.map((output) =>
    decided.has(output.name) ? { ...output, tolerance: { rtol: 0, atol: 0 } } : output,
  );
  return { ...golden, outputs };
}
