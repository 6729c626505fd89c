import { resolve } from 'node:path';
import type { Config, StepInput, TargetConfig } from '../../config/config.ts';
import type { LoadedConfig } from '../../config/load.ts';
import { type DropLimit, usual } from '../../drop-limit.ts';
import { UserError } from '../../errors.ts';
import type { Step } from '../../pass/pass.ts';
import { makeStep } from '../../pass/resolve-options.ts';
import { findPass, parseStep } from '../steps.ts';
import type { Naming, OptimizeFlags } from './flags.ts';

/** Every default of `optimize`, written once. */
const defaults = {
  targets: ['server'],
  maxDrop: usual,
  seed: 0,
  seconds: 2,
  /** Decibels that a variant must reach without labelled data. */
  minSqnrDb: 30,
} as const;

/** What `optimize` works with: flag over config over default. */
export interface Settings {
  readonly model: string;
  readonly out: string | undefined;
  readonly data: string | undefined;
  readonly samples: number | undefined;
  /** The data set may bring a metric of its own, whose code then runs. */
  readonly allowModules: boolean;
  readonly targets: ReadonlyMap<string, TargetConfig>;
  /** Names asked for; undefined: the default set. */
  readonly variants: readonly string[] | undefined;
  readonly ownVariants: ReadonlyMap<string, readonly Step[]>;
  /** Providers to measure on; undefined: those that the targets run on. */
  readonly providers: readonly string[] | undefined;
  readonly maxDrop: DropLimit;
  readonly minSqnrDb: number;
  readonly seed: number;
  readonly seconds: number;
  readonly inputShape: readonly string[];
  readonly bench: boolean;
  readonly force: boolean;
  /** Take variants that an earlier run built, and keep those of this one. */
  readonly cache: boolean;
  /** Fail unless the variants are bit by bit those of the lock. */
  readonly frozen: boolean;
  /** The lock to hold the run against; undefined: the one of the working or the output folder. */
  readonly lock: string | undefined;
  readonly naming: Naming;
  /** Where each setting came from, for the report. */
  readonly origins: Readonly<Record<string, 'flag' | 'config' | 'default'>>;
}

/** @throws UserError when a value makes no sense, or no model is named anywhere. */
export function resolveSettings(model: string | undefined, flags: OptimizeFlags, loaded: LoadedConfig): Settings {
  const { config, folder, file } = loaded;
  const origins: Record<string, 'flag' | 'config' | 'default'> = {};
  const pick = <T>(name: string, flag: T | undefined, own: T | undefined, fallback: T): T => {
    origins[name] = flag !== undefined ? 'flag' : own !== undefined ? 'config' : 'default';
    return flag ?? own ?? fallback;
  };
  const inFolder = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : resolve(folder, path);
  const configData = typeof config.data === 'string' ? { path: config.data } : config.data;
  const name = model ?? localPath(config.model, folder);
  if (name === undefined)
    throw new UserError(
      'model.none',
      'which model? Name one (mlpack optimize model.onnx), or set `model` in the config.',
    );
  const targets = flags.target ? new Map(flags.target.map((id) => [id, {}])) : configTargets(config);
  const ownVariants = new Map(
    Object.entries(config.variants ?? {}).map(([key, steps]) => [
      key,
      inVariant(key, file, () => steps.flatMap(toSteps)),
    ]),
  );
  return {
    model: name,
    out: pick('out', flags.out, inFolder(config.out), undefined),
    data: pick('data', flags.data, inFolder(configData?.path), undefined),
    samples: positive('--samples', pick('samples', flags.samples, configData?.samples, undefined)),
    allowModules: pick('allowModules', flags.allowModules, configData?.allowModules, false),
    targets: pick(
      'targets',
      flags.target && targets,
      config.targets && targets,
      new Map(defaults.targets.map((id) => [id, {}])),
    ),
    variants: pick('variants', flags.variant, ownVariants.size > 0 ? [...ownVariants.keys()] : undefined, undefined),
    ownVariants,
    providers: pick('providers', flags.provider, config.providers, undefined),
    maxDrop: pick('maxDrop', flags.maxDrop, config.maxDrop, defaults.maxDrop),
    minSqnrDb: defaults.minSqnrDb,
    seed: pick('seed', flags.seed, config.seed, defaults.seed),
    seconds: positive('--seconds', pick('seconds', flags.seconds, config.seconds, defaults.seconds)),
    inputShape: pick('inputShape', flags.inputShape, config.inputShape, []),
    bench: flags.bench,
    force: flags.force === true,
    cache: flags.cache,
    frozen: flags.frozen === true || flags.lock !== undefined,
    lock: flags.lock,
    naming: flags.naming ?? 'plain',
    origins,
  };
}

/** A relative path in the config starts from its folder; a hub id stays as it is. */
function localPath(model: string | undefined, folder: string): string | undefined {
  if (model === undefined) return undefined;
  return /\.onnx$|^\.{0,2}\//.test(model) ? resolve(folder, model) : model;
}

function configTargets(config: Config): Map<string, TargetConfig> {
  if (Array.isArray(config.targets)) return new Map((config.targets as readonly string[]).map((id) => [id, {}]));
  return new Map(Object.entries((config.targets ?? {}) as Record<string, TargetConfig>));
}

/** Says where in the config a step is wrong. */
function inVariant<T>(variant: string, file: string | undefined, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.code, `"${file}", variant "${variant}": ${error.message}`, { cause: error });
  }
}

function toSteps(input: StepInput): Step[] {
  if (typeof input === 'string') return parseStep(input);
  if (typeof input.pass === 'string') {
    const { pass, ...options } = input as { pass: string } & Record<string, unknown>;
    return [makeStep(findPass(pass), options)];
  }
  // A step made in a TypeScript or JavaScript config by calling the pass.
  const step = input as Step;
  return [makeStep(findPass(step.pass.id), step.options)];
}

function positive<T extends number | undefined>(flag: string, value: T): T {
  if (value !== undefined && !(value > 0))
    throw new UserError('option.value', `${flag} takes a number above 0, not ${value}.`);
  return value;
}
