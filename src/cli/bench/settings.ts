import { sizeDims } from '../../engine/feed-shapes.ts';
import { syntheticFeeds } from '../../engine/feeds.ts';
import type { Session as RuntimeSession } from '../../engine/session.ts';
import type { Model } from '../../ir/graph.ts';
import type { Tensor } from '../../ir/tensor.ts';
import type { Session } from '../command.ts';
import { openData } from '../data.ts';
import { firstFeeds } from '../feeds.ts';
import type { ModelSource } from '../model-source.ts';
import { parseShapes } from '../shapes.ts';

/** Inputs of one size. */
export interface Setting {
  readonly batch?: number;
  readonly sequence?: number;
  /** `batch 8, sequence 128`; empty where nothing was asked for. */
  readonly label: string;
  readonly feeds: ReadonlyMap<string, Tensor>;
}

export interface SettingFlags {
  readonly batch?: readonly number[];
  readonly seq?: readonly number[];
  readonly inputShape?: readonly string[];
  readonly seed: number;
}

/**
 * Inputs for every batch size and sequence length: made up where sizes were asked for, else the first sample of the data
 * beside the model.
 */
export async function makeSettings(
  { source, model, runtime }: { source: ModelSource; model: Model; runtime: RuntimeSession },
  flags: SettingFlags,
  session: Session,
): Promise<Setting[]> {
  const { seed } = flags;
  const shapes = flags.inputShape ?? [];
  if (!flags.batch && !flags.seq) {
    const dataset = await openData(source, undefined, session, runtime.inputs);
    const own = shapes.length > 0 ? undefined : dataset;
    // Explicit dimensions are a wish about made-up inputs: samples of a dataset have their own.
    const feeds = await firstFeeds({ dataset: own, model, runtime, seed, shapes, samples: 1 });
    return [{ label: '', feeds }];
  }
  const settings: Setting[] = [];
  for (const batch of flags.batch ?? [undefined]) {
    for (const sequence of flags.seq ?? [undefined]) {
      const sizes = { ...(batch !== undefined && { batch }), ...(sequence !== undefined && { sequence }) };
      const given = parseShapes(shapes);
      const { dims, batch: rows } = sizeDims(model, sizes);
      const overrides = { ...given, dims: { ...given.dims, ...dims }, batch: rows };
      const [first] = await syntheticFeeds(model, runtime, { ...overrides, seed });
      const label = Object.entries(sizes).map(([name, size]) => `${name} ${size}`);
      if (first) settings.push({ ...sizes, label: label.join(', '), feeds: first.feeds });
    }
  }
  return settings;
}
