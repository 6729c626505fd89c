import { createLayerStatistics } from '../../src/engine/layer-statistics.ts';
import type { LayerStatistics } from '../../src/pass/pass.ts';
import type { Feeds } from './ort.ts';

/** Layer statistics over these very inputs, each of which is a batch of its own. */
export function layersOf(feeds: readonly Feeds[]): LayerStatistics {
  return createLayerStatistics(() => feeds.map((one) => ({ feeds: one, size: 1 })), { samples: feeds.length, seed: 1 });
}
