import { gramsOf } from '../../src/engine/grams.ts';
import type { Activations } from '../../src/pass/pass.ts';
import { layersOf } from './activations.ts';
import type { Feeds } from './ort.ts';

/** What layers see on these very inputs, each a batch of its own; ranges and histograms are not asked for. */
export function observedOn(feeds: readonly Feeds[]): Activations {
  const unused = () => Promise.reject(new Error('only second moments are to be asked for'));
  const batches = () => feeds.map((one) => ({ feeds: one as Map<string, never>, size: 1 }));
  return {
    source: 'data',
    samples: feeds.length,
    ranges: unused,
    histograms: unused,
    grams: (model, requests, visit, how) => gramsOf(model, requests, batches, visit, undefined, how),
    layers: layersOf(feeds),
  };
}
