import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Trace } from '../../../src/rewrite/driver.ts';
import { storeRest } from '../dynamic/stored.ts';
import type { LayerSensitivity } from './sensitivity.ts';

/**
 * The largest number up to `most` for which `keeps` says yes, all first: where one does not, no larger one is expected to.
 * @returns 0 where none does
 */
export async function mostThatKeep(most: number, keeps: (count: number) => Promise<boolean>): Promise<number> {
  if (most === 0 || (await keeps(most))) return most;
  let [low, high] = [0, most];
  while (high - low > 1) {
    const at = Math.floor((low + high) / 2);
    if (await keeps(at)) low = at;
    else high = at;
  }
  return low;
}

/** Of layers that were not measured: they go last. */
const unknown = Number.POSITIVE_INFINITY;

/** Says whether a model keeps the floor. */
export type Verdict = (candidate: Model, what: string) => Promise<boolean>;

/**
 * Weights of layers that a mix leaves in float, for the noise or for the time, stored in 8 bits and expanded at load: of as many layers as the
 * floor bears, those first that cost the outputs least for what they save. In place.
 * @param layers what is known of their noise
 * @param search on the samples of the search @param confirm on those kept apart, which have the last word
 */
export async function storeFloats(
  model: Model,
  layers: readonly LayerSensitivity[],
  options: { readonly minElements: number; readonly keep: readonly string[] },
  { search, confirm }: { readonly search: Verdict; readonly confirm: Verdict },
  applied: Trace['applied'],
): Promise<boolean> {
  const prices = new Map(
    layers.map(({ id, formats: [first], bytes }) => [id, (first?.noise ?? unknown) / Math.max(1, bytes)]),
  );
  const price = (id: string): number => prices.get(id) ?? unknown;
  const order: string[] = [];
  storeRest(cloneModel(model), options, (_, node) => {
    const [output] = typeof node === 'string' ? [] : node.outputs;
    if (output) order.push(output.name);
  });
  order.sort((a, b) => price(a) - price(b) || 0);
  const optionsFor = (count: number): typeof options => ({
    ...options,
    keep: [...options.keep, ...order.slice(count)],
  });
  const judged = async (count: number, verdict: Verdict): Promise<boolean> => {
    const copy = cloneModel(model);
    storeRest(copy, optionsFor(count), () => undefined);
    return await verdict(copy, `weights of ${count} of ${order.length} layers in float stored in 8 bits`);
  };
  const count = await mostThatKeep(order.length, async (one) => await judged(one, search));
  return count > 0 && (await judged(count, confirm)) && storeRest(model, optionsFor(count), applied);
}
