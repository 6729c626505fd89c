import { join } from 'node:path';
import { bug } from '../../errors.ts';
import type { BundleResult } from '../../report/report.ts';
import { buildBundle } from '../../target/bundle.ts';
import { evidenceOf, timesOf } from '../../target/evidence.ts';
import type { Artifact } from '../../target/target.ts';
import type { Talk } from '../talk.ts';
import { besideOf } from './beside.ts';
import { type askTarget, type ChosenTarget, noBundleReason } from './candidates.ts';
import type { Choice } from './choose.ts';
import type { Floors } from './floor.ts';
import { madeBundle } from './made-bundle.ts';
import type { Measured } from './measured.ts';

/** What was made and measured, and what was chosen of it. */
interface Made {
  readonly targets: readonly ChosenTarget[];
  /** Of each target, in the same order. */
  readonly answers: readonly ReturnType<typeof askTarget>[];
  readonly choice: Choice;
  readonly artifacts: ReadonlyMap<string, Artifact>;
  readonly measured: readonly Measured[];
  readonly floors: Floors;
}

interface Packing {
  /** Of the run, for the evidence that goes into a bundle. */
  readonly facts: Parameters<typeof evidenceOf>[0];
  /** The bundles come into `bundles/<target>` of it. */
  readonly folder: string;
  readonly talk: Talk;
}

/**
 * A bundle for each target: of the variant recommended for it, or of the one that the config names.
 * @returns unmade: targets whose bundle could not be made, as was said; where no variant fits a target there is none, and nothing was tried
 */
export async function makeBundles(
  made: Made,
  packing: Packing,
): Promise<{ bundles: BundleResult[]; unmade: Set<string> }> {
  const { talk } = packing;
  const bundles: BundleResult[] = [];
  const unmade = new Set<string>();
  for (const [at, chosen] of made.targets.entries()) {
    const { id } = chosen.target;
    const name = variantFor(chosen, made.choice);
    const artifact = name === undefined ? undefined : made.artifacts.get(name);
    if (!artifact) {
      talk.warn(`no bundle for ${id}: ${noBundleReason(name, made.answers[at] ?? bug(id))}`);
      continue;
    }
    warnOfRejected(
      id,
      made.choice.variants.find((one) => one.name === name),
      talk,
    );
    talk.progress(`bundle ${id}`, artifact.variant);
    const result = await makeBundle(chosen, artifact, made, packing);
    if (result === undefined) unmade.add(id);
    else bundles.push(result);
  }
  return { bundles, unmade };
}

/** Undefined where nothing is recommended for the target. */
function variantFor({ target, from }: ChosenTarget, { recommendations }: Choice): string | undefined {
  return from === 'auto' ? recommendations.find((one) => one.target === target.id)?.variant : from;
}

function warnOfRejected(target: string, variant: Choice['variants'][number] | undefined, talk: Talk): void {
  if (variant?.verdict !== 'rejected') return;
  talk.warn(
    `the bundle for ${target} holds ${variant.name} because the config asks for it; it was rejected: ${variant.reasons.join('; ')}`,
  );
}

async function makeBundle(
  { target, from, options }: ChosenTarget,
  artifact: Artifact,
  { choice, artifacts, measured, floors }: Made,
  { facts, folder, talk }: Packing,
): Promise<BundleResult | undefined> {
  const dir = join(folder, 'bundles', target.id);
  const withEvidence = (one: Artifact): Artifact => {
    const variant = choice.variants.find((other) => other.name === one.variant);
    return variant ? { ...one, evidence: evidenceOf(facts, variant) } : one;
  };
  const others = besideOf({ target, from, options }, artifact, {
    measured,
    artifacts,
    floors,
    timed: (variant) => ({ ...evidenceOf(facts, variant), latency: timesOf(variant) }),
  });
  const packed = { ...withEvidence(artifact), ...(others.length > 0 && { others: others.map(withEvidence) }) };
  const result = await madeBundle(
    () => buildBundle(target, packed, options, dir, {}),
    { target: target.id, variant: artifact.variant, dir },
    talk,
  );
  if (result === undefined) return undefined;
  if (others.length > 0)
    talk.note(
      `${target.id}: beside ${artifact.variant} the bundle holds ${others.map(({ variant }) => variant).join(', ')}`,
    );
  return { ...result, dir: `bundles/${target.id}` };
}
