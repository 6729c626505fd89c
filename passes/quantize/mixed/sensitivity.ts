import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import type { Judge, Loss, LossTally, Runner } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { alone, floatAlone, type Observed } from './alone.ts';
import { closeCalls, standardError } from './close-calls.ts';
import { applyFormat, type FormatName, type FormatOptions } from './formats.ts';
import { feedsOf, timeFloat, timeOf, workOf } from './layer-time.ts';
import { findLayers, type Layer, layersInSubgraphs } from './layers.ts';
import { groupsOf, type ObservedSamples, observe, observeAll } from './observed.ts';
import { rememberedActivations } from './remembered.ts';
import { openSuffix, type Suffix, suffixOf } from './suffix.ts';

/** Every layer is measured in every format that it can have, whether that pays or not. */
export interface SensitivityOptions extends Omit<FormatOptions, 'place'> {
  readonly formats: readonly FormatName[];
  /** Samples to look at, at most: as many as fit the memory for inner values. Default 64, fewer where layers take long (`usualSamples`). */
  readonly samples?: number | undefined;
  /** Layers whose ranks those leave to chance are looked at on so many; default no more than those, four times as many where that default is taken, too. */
  readonly closeSamples?: number | undefined;
  /** Whether layers are timed. */
  readonly timed: boolean;
  /** After so many milliseconds no further layer is begun, and none is looked at again: those with most weights come first, then. Default: all are measured. */
  readonly budgetMs?: number;
}

/** One layer in one format, all others in float32. */
export interface FormatLoss extends Loss {
  readonly format: FormatName;
  /** How many the loss was taken on, and the standard error of its noise, from what batches differ by; undefined for a single batch. */
  readonly samples: number;
  readonly error: number | undefined;
  /** Of the weights in this format. */
  readonly bytes: number;
  /** Of the layer alone on one sample, milliseconds; undefined when nothing was timed. */
  readonly ms: number | undefined;
  /** What QuantizeLinear at its inputs and DequantizeLinear at its outputs take beside that, where it has them. */
  readonly borderMs: number | undefined;
}

export interface LayerSensitivity {
  readonly id: string;
  readonly label: string;
  readonly op: string;
  readonly kind: Layer['kind'];
  readonly bytes: number;
  /** Multiply-accumulates on one sample, and elements that it reads and gives out; 0 where they are not known. */
  readonly macs: number;
  readonly elements: number;
  /** Of the layer alone in float32, milliseconds. */
  readonly ms: number | undefined;
  /** Of the time of all nodes, from the runtime's profile. */
  readonly timeShare: number | undefined;
  readonly formats: readonly FormatLoss[];
  /** Why it has no such format. */
  readonly left: readonly { readonly format: FormatName; readonly why: string }[];
}

export interface SensitivityResult {
  readonly layers: readonly LayerSensitivity[];
  /** Samples that the losses were taken on; those of close calls on more, as they say. */
  readonly samples: number;
  /** Nodes with weights that could not be measured, with the reason. */
  readonly unmeasured: readonly { readonly node: string; readonly why: string }[];
}

/** Layers that are looked at again, at most: what that takes is a share of the first look. */
const mostClose = 16;
/**
 * Quantizes one layer at a time, everything else in float, and measures what the outputs lose. The float model runs once over the
 * samples and its inner values are kept; for each layer only the layer itself (in each format) and what lies behind it run again.
 */
export async function measureSensitivity(
  model: Model,
  judge: Judge,
  options: SensitivityOptions,
  given: PassContext,
): Promise<SensitivityResult> {
  const started = performance.now();
  const base = cloneModel(model);
  sortTopologically(base.graph);
  inferShapes(base);
  const ctx = withMemory(given, base);
  const unmeasured = layersInSubgraphs(base).map((node) => ({ node: String(node), why: inBranch(node) }));
  const layers = findLayers(base, await integerArithmetic(base, options, ctx));
  if (layers.length === 0) return { layers: [], samples: 0, unmeasured };
  const suffixes = new Map(layers.map((layer) => [layer, suffixOf(base, layer)]));
  const needed = new Set([
    ...layers.flatMap(({ inputs, outputs }) => [...inputs, ...outputs].map(({ name }) => name)),
    ...[...suffixes.values()].flatMap(({ outside }) => outside),
    ...base.graph.outputs.map(({ name }) => name),
  ]);
  ctx.progress?.('run the float model');
  const { samples, formats } = options;
  const observed = await observeAll(
    base,
    needed,
    judge,
    (single) => samples ?? usualSamples(base, layers, single, formats.length),
  );
  // What there was no room for is costly in the second look too: models are opened anew for each group of samples.
  const closeSamples = options.closeSamples ?? (samples === undefined ? closeTimes * observed.samples : 0);
  const times = options.timed ? await judge.nodeTimes(base) : undefined;
  const total = times && [...times.values()].reduce((sum, ms) => sum + ms, 0);
  const measured = new Map<Layer, LayerSensitivity>();
  const measures = new Map<string, Measure>();
  const { budgetMs = Infinity } = options;
  const order = budgetMs === Infinity ? layers : layers.toSorted((a, b) => b.weightBytes - a.weightBytes);
  for (const [at, layer] of order.entries()) {
    ctx.signal.throwIfAborted();
    if (performance.now() - started > budgetMs) {
      const why = `the ${budgetMs / 1000} s for it were over; mlpack sensitivity takes as long as it needs`;
      unmeasured.push({ node: String(layer.node), why });
      continue;
    }
    ctx.progress?.(`layer ${at + 1} of ${layers.length}, ${layer.node.op}`);
    const missing = [...layer.inputs, ...layer.outputs].find(({ name }) => !observed.batches[0]?.values.has(name));
    if (missing) {
      unmeasured.push({ node: String(layer.node), why: `"${missing.name}" cannot be handed out by the runtime` });
      continue;
    }
    const own = times?.get(layer.id);
    const share = own === undefined || !total ? undefined : own / total;
    measured.set(
      layer,
      await measureLayer(
        base,
        layer,
        suffixes.get(layer) ?? { outside: [], outputs: [] },
        observed,
        judge,
        options,
        share,
        measures,
        ctx,
      ),
    );
  }
  const close = new Set(
    closeCalls(
      [...measured.values()].flatMap(({ id, formats: [first] }) => (first ? [{ id, ...first }] : [])),
      mostClose,
    ),
  );
  const most = Math.min(closeSamples, judge.samples.search);
  if (close.size > 1 && most > observed.samples) {
    ctx.progress?.(`${close.size} layers too close to rank on ${observed.samples} samples: on ${most}`);
    const again = layers.filter(({ id }) => close.has(id)).map((layer) => ({ layer, suffix: suffixes.get(layer) }));
    const batches = (await judge.some(most, observed.perBatch)).slice(observed.batches.length);
    const isLate = (): boolean => performance.now() - started > budgetMs;
    for (const group of groupsOf(batches, observed.fitting)) {
      if (isLate()) break;
      const seen = await observe(base, needed, judge, group);
      for (const [at, { layer, suffix }] of again.entries()) {
        ctx.signal.throwIfAborted();
        ctx.progress?.(`layer ${at + 1} of ${again.length} once more, ${layer.node.op}`);
        if (suffix && !isLate())
          await measureMore(base, layer, suffix, { ...observed, batches: seen }, judge, options, measures, ctx);
      }
    }
    for (const { layer } of again) {
      const before = measured.get(layer);
      if (!before) continue;
      const formats = before.formats.map((one) => ({ ...one, ...resultOf(measures.get(keyOf(layer, one.format))) }));
      measured.set(layer, { ...before, formats });
    }
  }
  const inOrder = layers.flatMap((layer) => measured.get(layer) ?? []);
  return { layers: inOrder, samples: observed.samples, unmeasured };
}

/**
 * MobileNet v1 0.5, beside a ranking on 150 samples: 64 have Kendall's tau 0.99, 16 have 0.92, close calls on all 150 and on 64. They take a quarter of the time.
 */
const [fewestSamples, mostSamples] = [16, 64] as const;
const closeTimes = 4;
/** Multiply-accumulates of all layers in all formats and what lies behind them: ResNet-50 at 224 × 224 comes to 1.2e12 with 4 samples (71 layers, two formats), which took some 40 s on two cores. */
const usualMacs = 1e12;

/** Samples by the work that they are, not by the clock: the same model is looked at on the same samples everywhere. */
export function usualSamples(base: Model, layers: readonly Layer[], single: Observed, formats: number): number {
  const macs = layers.reduce((sum, layer) => sum + workOf(base, layer, single).macs, 0);
  // On the average half of the model lies behind a layer.
  const each = (macs / 2) * layers.length * formats;
  return Math.max(fewestSamples, Math.min(mostSamples, Math.floor(usualMacs / Math.max(1, each))));
}

/** The same context, with statistics that are measured once. */
export function withMemory(ctx: PassContext, base: Model): PassContext {
  return {
    ...ctx,
    applied: () => undefined,
    skipped: () => undefined,
    activations: ctx.activations && rememberedActivations(ctx.activations, base),
  };
}

const inBranch = (node: Node): string =>
  `it stands in ${node.graph.ownerNode ? `a branch or body of ${node.graph.ownerNode}` : 'a function of the model'}, which cannot be cut out and measured`;

/** Nodes without weights that run on integers once everything around them does. */
async function integerArithmetic(base: Model, options: SensitivityOptions, ctx: PassContext): Promise<Set<string>> {
  if (!options.formats.includes('int8') || !ctx.activations) return new Set();
  ctx.progress?.('measure the ranges of activations');
  const { applied } = await applyFormat(cloneModel(base), 'int8', [], { ...options, place: 'all' }, ctx);
  const compute = applied.filter(({ rule }) => rule === 'compute').flatMap(({ outputs }) => outputs);
  return new Set(compute);
}

/** What a layer in a format loses, added up over batches. */
interface Measure {
  readonly tally: LossTally;
  /** Of each batch alone. */
  readonly noises: number[];
  samples: number;
}

const keyOf = ({ id }: Layer, format: FormatName): string => `${format} ${id}`;

function resultOf(measure: Measure | undefined): (Loss & Pick<FormatLoss, 'samples' | 'error'>) | undefined {
  return measure && { ...measure.tally.result(), samples: measure.samples, error: standardError(measure.noises) };
}

/** Layers that were too close to rank, on further samples. */
async function measureMore(
  base: Model,
  layer: Layer,
  suffix: Suffix,
  observed: ObservedSamples,
  judge: Judge,
  options: SensitivityOptions,
  measures: ReadonlyMap<string, Measure>,
  ctx: PassContext,
): Promise<void> {
  const behind = await openSuffix(base, layer, suffix, observed.single, judge);
  try {
    for (const format of options.formats) {
      const measure = measures.get(keyOf(layer, format));
      if (!measure) continue;
      const made = await alone(
        floatAlone(base, layer, observed.single),
        layer,
        format,
        { ...options, place: 'all' },
        ctx,
      );
      if ('why' in made) continue;
      const runner = await judge.open(made.model);
      try {
        await addLoss(measure, runner, behind, base, layer, suffix, observed, judge);
      } finally {
        await runner.dispose();
      }
    }
  } finally {
    await behind?.dispose();
  }
}

async function measureLayer(
  base: Model,
  layer: Layer,
  suffix: Suffix,
  observed: ObservedSamples,
  judge: Judge,
  options: SensitivityOptions,
  timeShare: number | undefined,
  measures: Map<string, Measure>,
  ctx: PassContext,
): Promise<LayerSensitivity> {
  const float = (): Model => floatAlone(base, layer, observed.single);
  const behind = await openSuffix(base, layer, suffix, observed.single, judge);
  const formats: FormatLoss[] = [];
  const left: { format: FormatName; why: string }[] = [];
  try {
    for (const format of options.formats) {
      const made = await alone(float(), layer, format, { ...options, place: 'all' }, ctx);
      if ('why' in made) {
        left.push({ format, why: made.why });
        continue;
      }
      const runner = await judge.open(made.model);
      try {
        const measure: Measure = { tally: judge.tally(), noises: [], samples: 0 };
        measures.set(keyOf(layer, format), measure);
        await addLoss(measure, runner, behind, base, layer, suffix, observed, judge);
        const time = options.timed ? await timeOf(made.model, runner, layer, observed.single, judge) : undefined;
        const loss = { ...measure.tally.result(), samples: measure.samples, error: standardError(measure.noises) };
        formats.push({ format, ...loss, bytes: made.bytes, ms: time?.ms, borderMs: time?.borderMs });
      } finally {
        await runner.dispose();
      }
    }
  } finally {
    await behind?.dispose();
  }
  const { id, node, kind, weightBytes } = layer;
  const ms = options.timed ? await timeFloat(float(), layer, observed.single, judge) : undefined;
  const work = workOf(base, layer, observed.single);
  return { id, label: node.name || id, op: node.op, kind, bytes: weightBytes, ...work, ms, timeShare, formats, left };
}

/** Runs the layer in its format and what lies behind it, and holds the outputs against those of the float model. */
async function addLoss(
  measure: Measure,
  runner: Runner,
  behind: Runner | undefined,
  base: Model,
  layer: Layer,
  suffix: Suffix,
  observed: ObservedSamples,
  judge: Judge,
): Promise<void> {
  for (const { values, size } of observed.batches) {
    const outputs = await runner.run(feedsOf(layer, values));
    const changed = new Map(outputs);
    if (behind) {
      const feeds = new Map(outputs);
      for (const name of suffix.outside) {
        const tensor = values.get(name);
        if (tensor) feeds.set(name, tensor);
      }
      for (const [name, tensor] of await behind.run(feeds)) changed.set(name, tensor);
    }
    const [expected, actual] = [new Map<string, Tensor>(), new Map<string, Tensor>()];
    for (const { name } of base.graph.outputs) {
      const before = values.get(name);
      if (!before) continue;
      expected.set(name, before);
      actual.set(name, changed.get(name) ?? before);
    }
    measure.tally.add(expected, actual, size);
    const one = judge.tally();
    one.add(expected, actual, size);
    measure.noises.push(one.result().noise);
    measure.samples += size;
  }
}
