import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { auditModel } from '../../../../src/engine/audit.ts';
import { observable, observe } from '../../../../src/engine/observe.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { type Tensor, toNumbers } from '../../../../src/ir/tensor.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { verify } from '../../../../src/ir/verify.ts';
import { Histogram } from '../../../../src/kernels/histogram.ts';
import type { Activations } from '../../../../src/pass/pass.ts';
import { layersOf } from '../../../support/activations.ts';
import { TestContext } from '../../../support/context.ts';
import { calmFillings, edgeFeeds } from '../../../support/differential.ts';
import { observedOn } from '../../../support/observed.ts';
import { type Feeds, runOrt } from '../../../support/ort.ts';

export const head = (opset: number, body: string, ir = 8): string =>
  `<ir_version: ${ir}, opset_import: ["" : ${opset}]>\n${body}`;

export type Options = NonNullable<Parameters<typeof quantizeStatic>[0]>;

/** Activation statistics over these very inputs. */
export function activationsOf(feeds: readonly Feeds[]): Activations {
  const observed: Activations = {
    source: 'data',
    samples: feeds.length,
    async ranges(model, values) {
      const histograms = await observed.histograms(model, values);
      return new Map(
        [...histograms].map(([name, { min, max, absMax, nan, inf }]) => [name, { min, max, absMax, nan, inf }]),
      );
    },
    grams: (...asked) => observedOn(feeds).grams(...asked),
    layers: layersOf(feeds),
    async histograms(model, values, { channelAxes } = {}) {
      const histograms = new Map<string, Histogram>();
      const add = (name: string, tensor: Tensor): void => {
        const histogram = histograms.get(name) ?? new Histogram();
        const axis = channelAxes?.get(name);
        if (axis !== undefined) histogram.channels ??= { axis, low: new Float32Array(0), high: new Float32Array(0) };
        histogram.addSamples(numbers(tensor), tensor.shape, 1);
        histograms.set(name, histogram);
      };
      const batches = feeds.map((one) => ({ feeds: one, size: 1 }));
      const names = observable(values).map((value) => value.name);
      await observe(model, names, () => batches, add);
      for (const { name, tensor } of values.filter((value) => value.isGraphInput && value.graph === model.graph))
        for (const one of feeds) add(name, (one.get(name) ?? tensor) as Tensor);
      return histograms;
    },
  };
  return observed;
}

/** Seeded numbers in [−2, 2) for every input. */
export function calmFeeds(model: Model): Feeds[] {
  return edgeFeeds(model, 3, {}, {}, [calmFillings[0] as (typeof calmFillings)[0]]);
}

/** Runs the pass in place; by default with the ranges of the inputs that `fused` compares on. */
export async function quantize(
  model: Model,
  options: Options = {},
  activations: Activations | undefined = activationsOf(calmFeeds(model)),
) {
  const ctx = new TestContext({ explain: true });
  const step = quantizeStatic({ minElements: 0, place: 'all', ...options });
  const { changed } = await quantizeStatic.run(model, step.options as never, Object.assign(ctx, { activations }));
  return { changed, counts: ctx.counts(), skips: ctx.skips.map(({ rule, node, why }) => `${rule} ${node}: ${why}`) };
}

/** Quantizes a model, checks it, compares it with the original and asks the runtime what it makes of it. */
export async function fused(text: string, options: Options = {}, activations?: Activations) {
  const before = parseModel(text);
  const after = cloneModel(before);
  const result = await quantize(after, options, activations);
  const problems = verify(after);
  const feeds = calmFeeds(before);
  const [expected] = await runOrt(before, feeds);
  const audit = await auditModel(after);
  const [unfused] = await runOrt(after, feeds);
  const [actual] = await runOrt(after, feeds, 'extended');
  return { after, ...result, problems, audit, db: sqnr(expected, actual), unfusedDb: sqnr(expected, unfused) };
}

/** Lowest SQNR of the outputs, in decibels. */
export function sqnr(expected: Feeds | undefined, actual: Feeds | undefined): number {
  let worst = Number.POSITIVE_INFINITY;
  for (const [name, want] of expected ?? []) {
    const a = numbers(want);
    const b = numbers(actual?.get(name));
    let signal = 0;
    let noise = 0;
    for (let i = 0; i < a.length; i++) {
      signal += (a[i] as number) ** 2;
      noise += ((a[i] as number) - (b[i] as number)) ** 2;
    }
    worst = Math.min(worst, 10 * Math.log10(signal / noise));
  }
  return worst;
}

function numbers(tensor: Tensor | undefined): number[] {
  const values = tensor && toNumbers(tensor);
  if (!values) throw new Error('no numbers');
  return values;
}
