import { valuesByName } from '../../../src/ir/cut.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import type { Activations, HistogramOptions } from '../../../src/pass/pass.ts';

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
    histograms: remembered(
      (values, wanted?: HistogramOptions) => activations.histograms(whole, values, wanted),
      here,
      ({ name }, wanted) =>
        `${wanted?.channelAxes?.get(name)} ${wanted?.extremesOnly === true} ${wanted?.averages === true} ${name}`,
    ),
    ranges: remembered(
      (values) => activations.ranges(whole, values),
      here,
      ({ name }) => name,
    ),
    async grams(_, requests, visit) {
      const asked = new Map(
        requests.flatMap((request) => here(request.value).map((value) => [value, request] as const)),
      );
      const own = [...asked].map(([value, { k }]) => ({ value, k }));
      await activations.grams(whole, own, (value, gram) => visit(asked.get(value)?.value ?? value, gram));
    },
  };
}

/** Asks for each value once for each key. */
function remembered<T, O>(
  ask: (values: readonly Value[], options?: O) => Promise<ReadonlyMap<string, T>>,
  here: (value: Value) => readonly Value[],
  keyOf: (value: Value, options: O | undefined) => string,
): (model: Model, values: readonly Value[], options?: O) => Promise<ReadonlyMap<string, T>> {
  const known = new Map<string, T>();
  const asked = new Set<string>();
  return async (_, values, options) => {
    const missing = values.filter((value) => !asked.has(keyOf(value, options)));
    for (const value of missing) asked.add(keyOf(value, options));
    const own = missing.flatMap(here);
    const found = own.length > 0 ? await ask(own, options) : new Map<string, T>();
    for (const value of missing) {
      const made = found.get(value.name);
      if (made !== undefined) known.set(keyOf(value, options), made);
    }
    const result = new Map<string, T>();
    for (const value of values) {
      const made = known.get(keyOf(value, options));
      if (made !== undefined) result.set(value.name, made);
    }
    return result;
  };
}
