import { bug } from '../errors.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import { adaptFeeds, type Difference, DifferenceTotals, type FeedBatches } from './compare.ts';
import { fetchable, groupsOf, observable, openObserved } from './observe.ts';

export interface LayerOptions {
  readonly signal?: AbortSignal;
  /** Below this SQNR a layer counts as bad; default: 20 dB, an error of a tenth of the signal. */
  readonly badBelowDb?: number;
}

export interface LayerComparison {
  /** Float values of the same name in both models, in the order in which the base model computes them. */
  readonly layers: readonly Difference[];
  /**
   * The first of them below the limit, with the base model's node that makes it. Inner values of different shapes are not
   * the same layer: exporters number their names, so another export gives the same ones to other values.
   */
  readonly firstBad: { readonly name: string; readonly node: string; readonly sqnrDb: number } | undefined;
}

/**
 * Compares the inner values that two models share by name, with both models' optimizers off.
 * @throws UserError when a model cannot be run on the inputs.
 */
export async function compareLayers(
  base: Model,
  candidate: Model,
  batches: () => FeedBatches,
  options: LayerOptions = {},
): Promise<LayerComparison> {
  const shared = sharedValues(base, candidate);
  const totals = new Map<string, DifferenceTotals>();
  const groups = await groupsOf(
    base,
    shared.map((value) => value.name),
    batches,
  );
  for (const group of groups) await compareGroup(base, candidate, group, totals, batches, options.signal);
  const layers = shared.flatMap((value) => totals.get(value.name)?.result() ?? []);
  const limit = options.badBelowDb ?? 20;
  const outputs = new Set(base.graph.outputs.map((output) => output.name));
  const bad = layers.find(({ name, shapes, sqnrDb }) => sqnrDb < limit && (!shapes || outputs.has(name)));
  const node = shared.find((value) => value.name === bad?.name)?.producer;
  return { layers, firstBad: bad && { name: bad.name, node: String(node ?? ''), sqnrDb: bad.sqnrDb } };
}

/** Values that nodes make in both models under one name, in the order of the base model. */
function sharedValues(base: Model, candidate: Model): Value[] {
  const others = new Set(observable(madeByNodes(candidate)).map((value) => value.name));
  return observable(madeByNodes(base)).filter((value) => others.has(value.name));
}

function* madeByNodes(model: Model): Generator<Value> {
  for (const node of model.graph.nodes) for (const output of node.outputs) if (output) yield output;
}

async function compareGroup(
  base: Model,
  candidate: Model,
  names: readonly string[],
  totals: Map<string, DifferenceTotals>,
  batches: () => FeedBatches,
  signal: AbortSignal | undefined,
): Promise<void> {
  const first = await openObserved(base, names);
  const second = await openObserved(candidate, names).catch(async (error: unknown) => {
    await first.dispose();
    throw error;
  });
  const both = fetchable(second, fetchable(first, names));
  try {
    for await (const { feeds, size } of batches()) {
      signal?.throwIfAborted();
      const expected = await first.run(adaptFeeds(feeds, first.inputs), both);
      const actual = await second.run(adaptFeeds(feeds, second.inputs), both);
      for (const name of both) {
        const a = expected.get(name) ?? bug(`no value "${name}"`);
        const b = actual.get(name) ?? bug(`no value "${name}"`);
        if (dtypeKind(a.dtype) !== 'float' || dtypeKind(b.dtype) !== 'float') continue;
        const total = totals.get(name) ?? new DifferenceTotals(name);
        totals.set(name, total);
        total.add(a, b, size);
      }
    }
  } finally {
    await first.dispose();
    await second.dispose();
  }
}
