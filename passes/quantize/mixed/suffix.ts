import { cutModel, nodesBehind, readFromOutside } from '../../../src/ir/cut.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Judge, Runner } from '../../../src/pass/judge.ts';
import { type Observed, typeOf } from './alone.ts';
import type { Layer } from './layers.ts';

/** What lies behind a layer. */
export interface Suffix {
  /** Values that it reads beside the layer's outputs. */
  readonly outside: readonly string[];
  /** Outputs of the model that depend on the layer. */
  readonly outputs: readonly string[];
}

export function suffixOf(base: Model, { outputs }: Layer): Suffix {
  const behind = nodesBehind(outputs);
  const own = new Set(outputs);
  const outside = [...readFromOutside(behind)].filter((value) => !own.has(value)).map(({ name }) => name);
  const reached = base.graph.outputs.filter(({ producer }) => producer && behind.has(producer)).map(({ name }) => name);
  return { outside, outputs: reached };
}

/** Opens what lies behind a layer, as far as outputs depend on it; undefined: none does. */
export async function openSuffix(
  base: Model,
  layer: Layer,
  suffix: Suffix,
  single: Observed,
  judge: Judge,
): Promise<Runner | undefined> {
  if (suffix.outputs.length === 0) return undefined;
  const names = [...layer.outputs.map(({ name }) => name), ...suffix.outside];
  const inputs = names.map((name) => {
    const seen = single.get(name);
    return seen ? { name, type: typeOf(seen) } : { name };
  });
  return await judge.open(cutModel(base, inputs, suffix.outputs));
}
