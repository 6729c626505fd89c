import { allowedDrop, type DropLimit, partOfLimit, usual } from '../../src/drop-limit.ts';
import { UserError } from '../../src/errors.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import type { Model, Node } from '../../src/ir/graph.ts';
import { type Floor, type Judge, type JudgedPart, keepsFloor, type Score } from '../../src/pass/judge.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import type { Trace } from '../../src/rewrite/driver.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { applyAssignment, countFormats, float, itemsOf, usualFormats } from './mixed/assign.ts';
import { type FormatName, type FormatOptions, formatNames } from './mixed/formats.ts';
import { findLayers } from './mixed/layers.ts';
import { type Assignment, search } from './mixed/search.ts';
import { type LayerSensitivity, measureSensitivity, withMemory } from './mixed/sensitivity.ts';
import { storeFloats, type Verdict } from './mixed/store-floats.ts';
import { quantizeStatic } from './quantize-static.ts';
import { quantizeWeights } from './quantize-weights.ts';
import { fitKernels, formRules } from './static/kernel-forms.ts';

const options = {
  formats: opt.list(
    [],
    `formats to choose from, of ${formatNames.join(', ')}; default: those that can pay for this model`,
  ),
  maxDrop: opt.drop(
    usual,
    'largest allowed drop of the task metric (of the agreement with the model as it is, without labels), in its own unit or as a share of what the model reaches (1%); usual: 0.01 where the metric is a share of 1, such as accuracy, else 1%',
  ),
  minSqnr: opt.number(30, 'decibels that outputs must reach where there is no metric'),
  cost: opt.choice(['both', 'size', 'latency'], 'both', 'what to save: both are shares of the float model, added up'),
  costFrom: opt.choice(
    ['table', 'clock'],
    'table',
    'where the time of a layer comes from: its multiply-accumulates and known speeds (the same file on every run), or the clock',
  ),
  samples: opt.int(0, 'samples for the sensitivity of layers; 0: 64, down to 16 where layers take long', { min: 0 }),
  closeSamples: opt.int(
    0,
    'samples for layers whose places in that ranking the first ones leave to chance; 0: four times as many as those',
    { min: 0 },
  ),
  searchSamples: opt.int(512, 'samples that the search judges whole models by; the others are kept for the verdict', {
    min: 1,
  }),
  trials: opt.int(24, 'whole models to try, at most', { min: 1 }),
  calibrate: quantizeStatic.options.calibrate,
  cpu: quantizeStatic.options.cpu,
  place: quantizeStatic.options.place,
  stored: opt.boolean(
    false,
    'weights of convolutions, GRU and RNN that stay in float: in 8 bits too, expanded to float at load, of as many layers as the floor bears',
  ),
  weights: { ...quantizeStatic.options.weights, default: 'auto' as const },
  block: quantizeWeights.options.block,
  method: quantizeWeights.options.method,
  keep: opt.list([], 'names of nodes, or operators, that stay in float'),
  synthetic: quantizeStatic.options.synthetic,
} as const;

/** Fewer weights than these are not worth two more operators: as `quantize-static` has it. */
const leastStored = quantizeStatic.options.minElements.default;

/** Floors that the search is held to, as shares of the allowed drop: stricter ones where the verdict says no. */
const floors = [1, 0.5, 0] as const;

/** The cheapest mix of formats that keeps the floor, layer by layer. */
export const mixedPrecision = definePass({
  id: 'mixed-precision',
  summary:
    'the cheapest format for each layer that keeps the accuracy, found by measuring (needs data; INT8, INT4, FP16, float)',
  options,
  rules: {
    layer: 'The layer is in the format that the search chose',
    float: 'Layers that stay in float32, and why',
    stored: 'Weights of layers that stay in float are stored in 8 bits and expanded once, at load (--stored)',
    keep: 'Names given with --keep that stand for nothing',
    'mixed-precision': 'Why the model is left as it is',
    ...formRules,
  },
  numerics: () => lossy(10),
  async run(model, given, ctx) {
    if (!ctx.judge)
      throw new UserError('judge.none', 'mixed-precision measures what it tries, and nothing here can run a model.');
    reportUnmatched(model, given.keep, ctx);
    const activations = ctx.activations ?? (given.synthetic ? ctx.madeUpActivations : undefined);
    const formats = chooseFormats(model, given.formats, activations !== undefined);
    const judge = await ctx.judge(cloneModel(model), { searchSamples: given.searchSamples });
    try {
      const { weights, ...others } = given;
      return await mix(model, judge, { ...others, formats }, weights, { ...ctx, activations });
    } finally {
      await judge.dispose();
    }
  },
});

interface Settings extends FormatOptions {
  readonly formats: readonly FormatName[];
  readonly maxDrop: DropLimit;
  readonly minSqnr: number;
  readonly cost: 'both' | 'size' | 'latency';
  readonly costFrom: 'table' | 'clock';
  readonly samples: number;
  readonly closeSamples: number;
  readonly trials: number;
  readonly stored: boolean;
  readonly keep: readonly string[];
}

type WeightChoice = NonNullable<FormatOptions['weights']>;

/** @throws UserError for a format that does not exist, or that needs samples where there are none. */
function chooseFormats(model: Model, asked: readonly string[], calibrated: boolean): readonly FormatName[] {
  const unknown = asked.find((name) => !formatNames.includes(name as FormatName));
  if (unknown !== undefined)
    throw new UserError(
      'option.value',
      `--formats names "${unknown}"; there are ${formatNames.join(', ')} (float32 is always among them).`,
    );
  if (asked.includes('int8') && !calibrated)
    throw new UserError(
      'calibration.none',
      'int8 chooses ranges from samples, and there are none: give a folder of them with --data, name other --formats, or accept made-up inputs with --synthetic.',
    );
  if (asked.length > 0) return formatNames.filter((name) => asked.includes(name));
  const layers = findLayers(model, new Set()).map(({ node, weightBytes }) => ({ op: node.op, bytes: weightBytes }));
  return usualFormats(layers, calibrated);
}

/**
 * What a mix that other samples did not confirm has to gain before it is tried again: half of the noise. The drop alone may ask for nothing new: on 150 samples it comes
 * in steps of 0.0067, so that limits of 0.003, 0.0015 and 0 gave MobileNet the same mix three times, and then none.
 */
const firmerDb = 3;

/** @param fitting how codes of the chosen mix are fitted in the end; trials round plainly, which takes a fraction of the time */
async function mix(
  model: Model,
  judge: Judge,
  settings: Settings,
  fitting: WeightChoice,
  ctx: PassContext,
): Promise<{ changed: boolean }> {
  const base = cloneModel(model);
  // Before anything is measured: channels that int8 fills up must be those that ranges were taken of.
  const nothing = (): void => undefined;
  const fit = (target: Model, applied: Trace['applied'] = nothing): void => {
    if (!settings.formats.includes('int8')) return;
    const mayChange = (node: Node): boolean => !isKept(node, settings.keep);
    fitKernels(target, settings, mayChange, { applied, skipped: nothing });
  };
  const limit = await judge.fixed(settings.maxDrop);
  const left = await judge.left(limit);
  if (typeof left === 'number' && left < 0) {
    ctx.skipped(
      'mixed-precision',
      'model',
      `what was done to the model before has lost ${(-left).toPrecision(2)} more than the floor allows (a drop of ${limit}), so nothing is left to spend`,
    );
    return { changed: false };
  }
  const asked: Floor = { maxDrop: left, minSqnrDb: settings.minSqnr };
  fit(base);
  const silent = withMemory(ctx, base);
  const say = (sentence: string): void => {
    ctx.progress?.(sentence);
    ctx.note?.(sentence);
  };
  say(
    `search on ${judge.samples.search} ${judge.source === 'data' ? 'samples' : 'made-up inputs'}, verdict on ${judge.samples.heldOut} others; formats ${settings.formats.join(', ')}`,
  );
  if (left !== limit)
    say(
      `of the allowed drop (${limit}) what was done to the model before left ${Number(left).toFixed(4)}: that is what this mix may lose`,
    );
  const sensitivity = await measureSensitivity(
    base,
    judge,
    {
      ...settings,
      samples: settings.samples || undefined,
      closeSamples: settings.closeSamples || (settings.samples ? 4 * settings.samples : undefined),
      timed: settings.costFrom === 'clock',
    },
    silent,
  );
  const layers = sensitivity.layers.filter(({ formats }) => formats.length > 0);
  ctx.found?.({ ...sensitivity, source: judge.source });
  if (layers.length === 0) {
    ctx.skipped('mixed-precision', 'model', `no layer of its main graph has a form in ${settings.formats.join(', ')}`);
    return { changed: false };
  }
  say(describeWorst(layers));
  const onMore = layers.filter(({ formats: [first] }) => first && first.samples > sensitivity.samples);
  if (onMore.length > 0)
    say(
      `${onMore.length} of them were too close to rank on ${sensitivity.samples} samples, and were measured on ${onMore[0]?.formats[0]?.samples}`,
    );
  const items = itemsOf(layers, { ...settings, provider: judge.provider });
  const build = async (assignment: Assignment, weights?: WeightChoice): Promise<Model> => {
    const copy = cloneModel(base);
    await applyAssignment(copy, assignment, settings.keep, { ...settings, ...(weights && { weights }) }, silent);
    return copy;
  };
  const scores = new Map<string, Score>();
  const keyOf = (assignment: Assignment): string => JSON.stringify([...assignment]);
  const scoreOf = async (assignment: Assignment): Promise<Score> => {
    const key = keyOf(assignment);
    const score = scores.get(key) ?? (await judge.score(await build(assignment), 'search'));
    scores.set(key, score);
    return score;
  };
  /** The last word: on samples that the search has not seen, codes fitted where that brings the outputs nearer to float. */
  const confirm = async (assignment: Assignment): Promise<{ ok: boolean; weights: WeightChoice }> => {
    const plain = await scoreOf(assignment);
    const fits = fitting !== 'minmax' && [...assignment.values()].includes('int8') && plain.sqnrDb < Infinity;
    const fitted = fits ? await build(assignment, fitting) : undefined;
    const isFitted = fitted && (await isBetter(fitted, plain, judge, say));
    const score = await judge.score(isFitted ? fitted : await build(assignment), 'heldOut');
    const ok = keepsFloor(score, asked);
    say(
      `${countFormats(assignment)}; on the samples kept apart: ${describeScore(score, asked)}, ${ok ? 'kept' : 'missed'}`,
    );
    return { ok, weights: isFitted ? fitting : 'minmax' };
  };
  let chosen:
    | { readonly assignment: Assignment; readonly weights: WeightChoice; readonly why: ReadonlyMap<string, string> }
    | undefined;
  let leastDb = Number.NEGATIVE_INFINITY;
  for (const [round, share] of floors.entries()) {
    const floor: Floor = { maxDrop: partOfLimit(left, share), minSqnrDb: settings.minSqnr };
    const reasons = new Map<string, string>();
    const found = await search(
      items,
      async (assignment) => {
        ctx.signal.throwIfAborted();
        const score = await scoreOf(assignment);
        return { ok: keepsFloor(score, floor) && score.sqnrDb >= leastDb, words: describeScore(score, floor) };
      },
      { mostTrials: settings.trials },
      {
        tried: (what, { ok, words }) => say(`${what}: ${words}, ${ok ? 'kept' : 'missed'}`),
        moved({ id, label }, from, to, why) {
          say(`${label}: ${from} → ${to}, ${why}`);
          if (to === float) reasons.set(id, why);
        },
      },
    );
    if (found.untried > 0)
      say(`trials are over (--trials ${settings.trials}): ${found.untried} steps towards float were not tried back`);
    // What restoring layers has cost on other samples must not cost the mix: it is as good as without, at worst.
    const restored = keyOf(found.assignment) !== keyOf(found.reverted);
    for (const assignment of restored ? [found.assignment, found.reverted] : [found.assignment]) {
      if (restored && assignment === found.reverted) say('again, with nothing restored');
      const verdict = await confirm(assignment);
      if (!verdict.ok && !isFloat(assignment)) continue;
      chosen = { assignment, weights: verdict.weights, why: reasons };
      break;
    }
    if (chosen) break;
    leastDb = (await scoreOf(found.assignment)).sqnrDb + firmerDb;
    if (round + 1 < floors.length)
      say(
        `again, with ${floors[round + 1] === 0 ? 'no drop at all' : 'half the drop'} allowed on the search samples, and ${leastDb.toFixed(1)} dB at least`,
      );
  }
  if (!chosen) {
    ctx.skipped(
      'mixed-precision',
      'model',
      `no mix kept the floor (drop ${limit}) on samples that the search had not seen`,
    );
    return { changed: false };
  }
  const { assignment, weights, why } = chosen;
  if ([...assignment.values()].includes('int8')) fit(model, ctx.applied.bind(ctx));
  const changed = await applyAssignment(model, assignment, settings.keep, { ...settings, weights }, silent);
  if (changed && settings.stored) {
    const verdictOn =
      (part: JudgedPart): Verdict =>
      async (candidate, what) => {
        ctx.signal.throwIfAborted();
        const score = await judge.score(candidate, part);
        const ok = keepsFloor(score, asked);
        const where = part === 'heldOut' ? '; on the samples kept apart' : '';
        say(`${what}${where}: ${describeScore(score, asked)}, ${ok ? 'kept' : 'missed'}`);
        return ok;
      };
    await storeFloats(
      model,
      layers,
      { minElements: leastStored, keep: settings.keep },
      { search: verdictOn('search'), confirm: verdictOn('heldOut') },
      ctx.applied.bind(ctx),
    );
  }
  // A layer alone can be put on integers where, beside what surrounds it, the conversions cost more than they save.
  if (changed || isFloat(assignment)) trace(assignment, layers, why, ctx);
  else
    ctx.skipped(
      'mixed-precision',
      'model',
      `the formats chosen (${countFormats(assignment)}) change nothing: in the whole model integers would cost more than they save there (--place all puts them in all the same)`,
    );
  return { changed };
}

/**
 * Whether fitted codes bring the outputs nearer to the float model's on the samples of the search. In decibels: what a task metric says of two mixes that
 * both keep the floor is a sample more or less, by chance, and the verdict is still to come.
 */
async function isBetter(fitted: Model, plain: Score, judge: Judge, say: (sentence: string) => void): Promise<boolean> {
  const score = await judge.score(fitted, 'search');
  const better = score.sqnrDb > plain.sqnrDb;
  say(
    `weights of this mix fitted to what the layers see: ${score.sqnrDb.toFixed(1)} dB for ${plain.sqnrDb.toFixed(1)} by plain rounding${better ? '' : ', not taken'}`,
  );
  return better;
}

const isFloat = (assignment: Assignment): boolean => [...assignment.values()].every((format) => format === float);

function trace(
  assignment: Assignment,
  layers: readonly LayerSensitivity[],
  reasons: ReadonlyMap<string, string>,
  ctx: PassContext,
): void {
  for (const { id, op, label, formats } of layers) {
    const format = assignment.get(id) ?? float;
    const node = `${op} "${label}"`;
    if (format !== float) {
      const own = formats.find((one) => one.format === format);
      ctx.applied('layer', node, own ? `${format}, ${own.sqnrDb.toFixed(1)} dB when it alone is` : format);
      continue;
    }
    const [first] = formats;
    ctx.skipped(
      'float',
      node,
      `alone in ${first?.format} it takes the outputs to ${first?.sqnrDb.toFixed(1)} dB; in float32 it ${reasons.get(id) ?? 'costs less than it would in any other format'}`,
    );
  }
}

const decibels = (sqnrDb: number): string => (sqnrDb === Infinity ? 'the same outputs' : `${sqnrDb.toFixed(1)} dB`);

function describeScore({ metric, value, base, drop, samples, sqnrDb }: Score, floor: Floor): string {
  if (metric === 'sqnr') return `${decibels(sqnrDb)} of ${floor.minSqnrDb} asked for`;
  return `${metric} ${value.toFixed(4)} (float ${base.toFixed(4)}, drop ${drop.toFixed(4)} of ${Number(allowedDrop(floor.maxDrop, metric, base).toPrecision(3))} allowed, ${samples} samples; ${decibels(sqnrDb)})`;
}

function describeWorst(layers: readonly LayerSensitivity[]): string {
  const noise = (layer: LayerSensitivity): number => layer.formats[0]?.noise ?? 0;
  const [worst] = [...layers].sort((a, b) => noise(b) - noise(a));
  const first = worst?.formats[0];
  const others = layers.length - 1;
  return `${layers.length} ${layers.length === 1 ? 'layer' : 'layers'} measured one by one; the most sensitive is ${worst?.op} "${worst?.label}" (${first?.format}: ${first?.sqnrDb.toFixed(1)} dB${others > 0 ? `, the median of all ${median(layers.map((layer) => layer.formats[0]?.sqnrDb ?? 0)).toFixed(1)} dB` : ''})`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
