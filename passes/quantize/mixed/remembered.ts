import { valuesByName } from '../../../src/ir/cut.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import type { Activations } from '../../../src/pass/pass.ts';

/**
 * Statistics of one float model for its copies and parts: values keep their names, so that what was measured once, on the whole,
 * serves every trial.
 * @param whole the model that the samples fit; it must not be changed
 */
export function rememberedActivations(activations: Activations, whole: Model): Activations {
  const values = valuesByName(whole.graph);
  const here = (value: Value): Value[] => {
    const own = values.get(value.name);
    return own ? [own] : [];
  };
  return {
    ...activations,
    histograms: remembered((wanted) => activations.histograms(whole, wanted), here),
    ranges: remembered((wanted) => activations.ranges(whole, wanted), here),
    async grams(_, requests, visit) {
      const asked = new Map(
        requests.flatMap((request) => here(request.value).map((value) => [value, request] as const)),
      );
      const own = [...asked].map(([value, { k }]) => ({ value, k }));
      await activations.grams(whole, own, (value, gram) => visit(asked.get(value)?.value ?? value, gram));
    },
  };
}

/** Asks for each value once. */
function remembered<T>(
  ask: (values: readonly Value[]) => Promise<ReadonlyMap<string, T>>,
  here: (value: Value) => readonly Value[],
): (model: Model, values: readonly Value[]) => Promise<ReadonlyMap<string, T>> {
  const known = new Map<string, T>();
  const asked = new Set<string>();
  return async (_, wanted) => {
    const missing = wanted.filter(({ name }) => !asked.has(name)).flatMap(here);
    for (const { name } of missing) asked.add(name);
    if (missing.length > 0) for (const [name, found] of await ask(missing)) known.set(name, found);
    const result = new Map<string, T>();
    for (const { name } of wanted) {
      const found = known.get(name);
      if (found !== undefined) result.set(name, found);
    }
    return result;
  };
}
