import { syntheticSamples } from '../engine/synthetic-samples.ts';
import type { Activations } from '../pass/pass.ts';

/** Made-up activations, whose maker is loaded at the first question: few passes ask. */
export function deferredActivations(load: () => Promise<Activations>): Activations {
  let made: Promise<Activations> | undefined;
  const get = (): Promise<Activations> => {
    made ??= load();
    return made;
  };
  return {
    source: 'synthetic',
    samples: syntheticSamples,
    ranges: async (...given) => (await get()).ranges(...given),
    histograms: async (...given) => (await get()).histograms(...given),
    grams: async (...given) => (await get()).grams(...given),
    layers: {
      channels: async (...given) => (await get()).layers.channels(...given),
      patches: async (...given) => (await get()).layers.patches(...given),
      sqnr: async (...given) => (await get()).layers.sqnr(...given),
      pairs: async (...given) => (await get()).layers.pairs(...given),
      inOrder: async (...given) => (await get()).layers.inOrder(...given),
    },
  };
}
