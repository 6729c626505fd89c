import type { DropLimit } from '../drop-limit.ts';
import type { Step } from '../pass/pass.ts';
import type { GateRules } from '../report/gate/rules.ts';

/** A step in a recipe: `"quantize-weights:bits=4"`, `{ "pass": "quantize-weights", "bits": 4 }`, or a step made by a pass function. */
export type StepInput = string | ({ readonly pass: string } & Readonly<Record<string, unknown>>) | Step;

/** Where a target's model comes from (`auto`: the recommended variant), and the target's own options. */
export type TargetConfig = { readonly from?: string } & Readonly<Record<string, unknown>>;

/** A recipe: data after loading, so that it can be printed, hashed and compared. Paths are relative to the config file. */
export interface Config {
  readonly model?: string;
  readonly out?: string;
  readonly data?: string | { readonly path: string; readonly samples?: number; readonly allowModules?: boolean };
  readonly variants?: Readonly<Record<string, readonly StepInput[]>>;
  readonly targets?: readonly string[] | Readonly<Record<string, TargetConfig>>;
  readonly providers?: readonly string[];
  readonly maxDrop?: DropLimit;
  readonly seed?: number;
  /** Seconds to measure each variant. */
  readonly seconds?: number;
  /** `batch=1`, `sequence=128`: symbolic dimensions in measurements. */
  readonly inputShape?: readonly string[];
  /** What `mlpack gate` asks of a report (docs/ci.md). */
  readonly gate?: GateRules;
}

/** Gives an editor the types; returns its argument. */
export function defineConfig(config: Config): Config {
  return config;
}
