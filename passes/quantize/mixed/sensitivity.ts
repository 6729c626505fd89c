import { cloneModel } from '../../../src/ir/clone.ts';
import { cutModel, nodesBehind, readFromOutside, valuesByName } from '../../../src/ir/cut.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { elementCount, type Tensor } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Judge, JudgedBatch, Loss, LossTally, Runner } from '../../../src/pass/judge.ts';
import type { PassContext } from '../../../src/pass/pass.ts';
import { alone, floatAlone, integerCore, type Observed, typeOf } from './alone.ts';
import { closeCalls, standardError } from './close-calls.ts';
import { applyFormat, type FormatName, type FormatOptions } from './formats.ts';
import { findLayers, type Layer, layersInSubgraphs } from './layers.ts';
import { rememberedActivations } from './remembered.ts';

/** Every layer is measured in every format that it can have, whether that pays or not. */
export interface SensitivityOptions extends Omit<FormatOptions, 'place'> {
  readonly formats: readonly FormatName[];
  /** Samples to look at, at most: as many as fit the memory for inner values. */
  readonly samples: number;
  /** Layers whose ranks those leave to chance are looked at on so many; default no more than those. */
  readonly closeSamples?: number;
  /** Whether layers are timed. */
  readonly timed: boolean;
  /** After so many milliseconds no further layer is begun: those with most weights come first, then. Default: all are measured. */
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

/** Inner values of all samples together take at most so much memory. */
const memoryBudget = 400e6;
/** Layers that are looked at again, at most: what that takes is a share of the first look. */
const mostClose = 16;
/** Samples in one inference. */
const largestBatch = 8;

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
  const observed = await observeAll(base, needed, judge, options.samples);
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
  const most = Math.min(options.closeSamples ?? 0, judge.samples.search);
  if (close.size > 1 && most > observed.samples) {
    ctx.progress?.(`${close.size} layers too close to rank on ${observed.samples} samples: on ${most}`);
    const again = layers.filter(({ id }) => close.has(id)).map((layer) => ({ layer, suffix: suffixes.get(layer) }));
    const batches = (await judge.some(most, observed.perBatch)).slice(observed.batches.length);
    for (const group of groupsOf(batches, observed.fitting)) {
      const seen = await observe(base, needed, judge, group);
      for (const { layer, suffix } of again) {
        ctx.signal.throwIfAborted();
        if (suffix)
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

/** What lies behind a layer. */
interface Suffix {
  /** Values that it reads beside the layer's outputs. */
  readonly outside: readonly string[];
  /** Outputs of the model that depend on the layer. */
  readonly outputs: readonly string[];
}

function suffixOf(base: Model, { outputs }: Layer): Suffix {
  const behind = nodesBehind(outputs);
  const own = new Set(outputs);
  const outside = [...readFromOutside(behind)].filter((value) => !own.has(value)).map(({ name }) => name);
  const reached = base.graph.outputs.filter(({ producer }) => producer && behind.has(producer)).map(({ name }) => name);
  return { outside, outputs: reached };
}

interface ObservedBatch {
  readonly size: number;
  readonly values: Observed;
}

interface ObservedSamples {
  readonly batches: readonly ObservedBatch[];
  /** One sample alone, for timing. */
  readonly single: Observed;
  readonly samples: number;
  /** Samples in a batch, and how many have room in memory at once. */
  readonly perBatch: number;
  readonly fitting: number;
}

/** Runs the float model once over as many samples as inner values fit into memory. */
async function observeAll(
  base: Model,
  needed: ReadonlySet<string>,
  judge: Judge,
  samples: number,
): Promise<ObservedSamples> {
  const [single = { size: 0, values: new Map<string, Tensor>() }] = await observe(
    base,
    needed,
    judge,
    await judge.some(1, 1),
  );
  const perSample = [...single.values.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const fitting = Math.max(1, Math.floor(memoryBudget / Math.max(1, perSample)));
  const count = Math.min(samples, fitting);
  const perBatch = Math.min(largestBatch, count);
  const batches = await observe(base, needed, judge, await judge.some(count, perBatch));
  const seen = batches.reduce((sum, { size }) => sum + size, 0);
  return { batches, single: single.values, samples: seen, perBatch, fitting };
}

/** Inner values of the float model on some batches. */
async function observe(
  base: Model,
  needed: ReadonlySet<string>,
  judge: Judge,
  batches: readonly JudgedBatch[],
): Promise<ObservedBatch[]> {
  const copy = cloneModel(base);
  const values = valuesByName(copy.graph);
  const outputs = new Set(copy.graph.outputs.map(({ name }) => name));
  for (const name of needed) {
    const value = values.get(name);
    const isTensor = value?.type === undefined || value.type.kind === 'tensor';
    if (value?.producer && isTensor && !outputs.has(name)) copy.graph.addOutput(value);
  }
  const runner = await judge.open(copy);
  try {
    const seen: ObservedBatch[] = [];
    for (const { feeds, size } of batches) {
      const made = await runner.run(feeds);
      for (const [name, tensor] of feeds) if (needed.has(name)) made.set(name, tensor);
      seen.push({ size, values: made });
    }
    return seen;
  } finally {
    await runner.dispose();
  }
}

/** Batches of at most so many samples together, or one. */
function groupsOf(batches: readonly JudgedBatch[], most: number): JudgedBatch[][] {
  const groups: JudgedBatch[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const batch of batches) {
    if (size + batch.size > most) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)?.push(batch);
    size += batch.size;
  }
  return groups;
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

async function openSuffix(
  base: Model,
  layer: Layer,
  suffix: Suffix,
  single: Observed,
  judge: Judge,
): Promise<Runner | undefined> {
  if (suffix.outputs.length === 0) return undefined;
  const names = [...layer.outputs.map(({ name }) => name), ...suffix.outside];
  const inputs = names.map((name) => {
    const seen = single.get(name);
    return seen ? { name, type: typeOf(seen) } : { name };
  });
  return await judge.open(cutModel(base, inputs, suffix.outputs));
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

async function timeFloat(model: Model, layer: Layer, single: Observed, judge: Judge): Promise<number> {
  const runner = await judge.open(model);
  try {
    return await runner.time(feedsOf(layer, single));
  } finally {
    await runner.dispose();
  }
}

/** What the layer has to do on one sample, from its shapes there. */
function workOf(base: Model, layer: Layer, single: Observed): { macs: number; elements: number } {
  const known = layer.inputs.flatMap(({ name }) => {
    const tensor = single.get(name);
    return tensor ? [{ name, type: tensorType(tensor.dtype, tensor.shape) }] : [];
  });
  const model = cutModel(
    base,
    known,
    layer.outputs.map(({ name }) => name),
  );
  const seen = [...layer.inputs, ...layer.outputs].map(({ name }) => elementCount(single.get(name)?.shape ?? [0]));
  return { macs: countMacs(model, inferShapes(model)).total, elements: seen.reduce((sum, count) => sum + count, 0) };
}

interface Time {
  readonly ms: number;
  readonly borderMs: number | undefined;
}

/** Integers on both sides where the format has them: what stands at the border is counted where formats meet. */
async function timeOf(model: Model, runner: Runner, layer: Layer, single: Observed, judge: Judge): Promise<Time> {
  const whole = await runner.time(feedsOf(layer, single));
  const core = integerCore(model);
  if (!core) return { ms: whole, borderMs: undefined };
  const codes = cutModel(model, [], core.inputs);
  const making = await judge.open(codes);
  const timed = await judge.open(core.model);
  try {
    const ms = await timed.time(await making.run(feedsOf(layer, single)));
    return { ms, borderMs: Math.max(0, whole - ms) };
  } finally {
    await making.dispose();
    await timed.dispose();
  }
}

function feedsOf(layer: Layer, observed: Observed): Map<string, Tensor> {
  const feeds = new Map<string, Tensor>();
  for (const { name } of layer.inputs) {
    const tensor = observed.get(name);
    if (tensor) feeds.set(name, tensor);
  }
  return feeds;
}
