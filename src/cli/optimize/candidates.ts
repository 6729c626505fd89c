import type { TargetConfig } from '../../config/config.ts';
import type { Dataset } from '../../data/dataset.ts';
import { resolveTargetOptions } from '../../target/plan.ts';
import { supportOf } from '../../target/support.ts';
import type { Artifact, Support, Target } from '../../target/target.ts';
import { makeArtifact } from '../artifact.ts';
import { findTarget } from '../bundle.ts';
import type { ModelSource } from '../model-source.ts';
import type { Built } from './built.ts';
import type { TargetNeed } from './choose.ts';
import type { Measured } from './measured.ts';
import type { Settings } from './settings.ts';

/** A target of this run with its options, complete and checked. */
export interface ChosenTarget {
  readonly target: Target;
  /** The variant to bundle; `auto`: the recommended one. */
  readonly from: string;
  readonly options: Readonly<Record<string, never>>;
}

/** @throws UserError for a target or an option that does not exist. */
export function chooseTargets(targets: ReadonlyMap<string, TargetConfig>): ChosenTarget[] {
  return [...targets].map(([id, { from, ...options }]) => {
    const target = findTarget(id);
    return {
      target,
      from: from ?? 'auto',
      options: resolveTargetOptions(target, options) as Readonly<Record<string, never>>,
    };
  });
}

/** What targets are asked about and bundle: every variant that is a loadable file, by its name. */
export async function makeArtifacts(
  built: readonly Built[],
  measured: readonly Measured[],
  {
    source,
    dataset,
    settings,
    targets,
    fit,
    signal,
  }: {
    source: ModelSource;
    dataset: Dataset | undefined;
    settings: Settings;
    targets: readonly ChosenTarget[];
    /** The file in operators of the oldest runtime that is to load it; other variants end in them already. */
    fit: (file: string) => Promise<string>;
    signal: AbortSignal;
  },
): Promise<Map<string, Artifact>> {
  const artifacts = new Map<string, Artifact>();
  for (const one of built) {
    if (one.path === undefined || measured.find(({ name }) => name === one.name)?.blockers.length !== 0) continue;
    const { seed, inputShape: shapes } = settings;
    const origin = source.file;
    artifacts.set(
      one.name,
      await makeArtifact({
        name: source.name,
        variant: one.name,
        file: one.name === 'base' ? await fit(one.path) : one.path,
        origin,
        dataset,
        seed,
        shapes,
        wantsGraph: targets.some(({ target }) => target.wantsGraph),
        signal,
      }),
    );
  }
  return artifacts;
}

/** What a target says of the variants. */
export interface TargetAnswers {
  readonly target: Target;
  readonly supports: ReadonlyMap<string, Support>;
}

export function askTarget({ target, options }: ChosenTarget, artifacts: ReadonlyMap<string, Artifact>): TargetAnswers {
  const supports = [...artifacts].map(([name, artifact]) => [name, supportOf(target, artifact, options)] as const);
  return { target, supports: new Map(supports) };
}

export function needOf({ target, supports }: TargetAnswers): TargetNeed {
  return {
    id: target.id,
    providers: ({ name }) => supports.get(name)?.providers ?? target.providers,
    refuses({ name }) {
      const support = supports.get(name);
      if (!support) return 'there is no file';
      return support.ok ? undefined : support.because.join(' ');
    },
  };
}

/** Session config entries that bundles with this variant set on the provider: timings must be taken with them. */
export function sessionConfigOf(
  answers: readonly TargetAnswers[],
  variant: string,
  provider: string,
): Readonly<Record<string, string>> {
  return Object.assign({}, ...answers.map(({ supports }) => supports.get(variant)?.sessionConfig?.[provider]));
}

/** Why there is no bundle, where no variant can go into it or the one that was asked for cannot. */
export function noBundleReason(name: string | undefined, { supports }: TargetAnswers): string {
  if (name !== undefined) return `there is no variant "${name}" (there are ${[...supports.keys()].join(', ')}).`;
  const base = supports.get('base');
  if (!base) return 'the model itself does not load.';
  return base.ok ? 'no variant works on its providers.' : base.because.join(' ');
}
