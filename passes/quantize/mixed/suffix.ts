import { cutModel, nodesBehind, readFromOutside } from '../../../src/ir/cut.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
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

export function suffixOf(base: Model, { outputs }: Pick<Layer, 'outputs'>): Suffix {
  const behind = nodesBehind(outputs);
  const own = new Set(outputs);
  const part = new Set(behind);
  const read = (): Value[] => [...readFromOutside(part)].filter((value) => !own.has(value));
  let outside = read();
  // Sequences and optionals cannot be handed over: what makes them is a part of it too.
  for (let makers = makersOf(outside); makers.length > 0; makers = makersOf(outside)) {
    for (const maker of makers) part.add(maker);
    outside = read();
  }
  const reached = base.graph.outputs.filter(({ producer }) => producer && behind.has(producer)).map(({ name }) => name);
  return { outside: outside.map(({ name }) => name), outputs: reached };
}

/** The nodes that make those of the values that are no tensors. */
function makersOf(values: readonly Value[]) {
  return values.flatMap(({ type, producer }) => (type && type.kind !== 'tensor' && producer ? [producer] : []));
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
