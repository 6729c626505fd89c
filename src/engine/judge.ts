import { numbersOf } from '../data/cast.ts';
import type { Dataset } from '../data/dataset.ts';
import { agreement } from '../data/metrics/classify.ts';
import { argmaxRows, competingScores } from '../data/metrics/rows.ts';
import { datasetPart } from '../data/part.ts';
import { allowedDrop, type DropLimit, type FixedLimit, usual, usualLimit } from '../drop-limit.ts';
import { bug, UserError } from '../errors.ts';
import { cloneModel } from '../ir/clone.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { sumOfDivergences } from '../kernels/divergence.ts';
import { addErrors, type ErrorSums, emptyErrorSums, sqnrDb } from '../kernels/error.ts';
import type { Judge, JudgedBatch, JudgedPart, Loss, LossTally, MakeJudge, Runner, Score } from '../pass/judge.ts';
import { adaptFeeds, compare, type FeedBatch } from './compare.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { syntheticFeeds } from './feeds.ts';
import { nodeTimes } from './node-times.ts';
import { openModel } from './open-model.ts';
import { remembering } from './remembering.ts';
import type { Session, Timer } from './session.ts';
import { withStates } from './states.ts';
import { median } from './stats.ts';
import { whyNothingIsTold } from './tells-apart.ts';

export interface JudgeOptions {
  readonly seed: number;
  /** Where models are run and timed; default the CPU. */
  readonly provider?: string;
  readonly signal?: AbortSignal;
  /** At most so many samples for the search, and for the verdict; default all there are. */
  readonly samples?: number;
}

/** Samples that a search looks at, at most: each trial runs all of them. */
const mostSearched = 512;
/** Made-up inputs of each part. */
const madeUp = 8;
/** Samples whose outputs are compared for the decibels of a score. */
const compared = 32;

/**
 * Judges by a data set, or by made-up inputs where there is none. Half of the evaluation samples, in an order drawn by the seed, serve
 * the search (at most 512), the others the verdict.
 */
export function createJudge(dataset: Dataset | undefined, options: JudgeOptions): MakeJudge {
  return async (base, { searchSamples = mostSearched, origin: came } = {}) => {
    const copy = cloneModel(base);
    const provider = options.provider ?? 'cpu';
    const session = remembering(await openModel(copy, { provider, label: 'the model' }));
    let origin: Session | undefined;
    try {
      if (came) origin = remembering(await openModel(came, { provider, label: 'the model as it came' }));
      const parts = dataset
        ? partsOf(dataset, session, searchSamples, options)
        : await madeUpParts(copy, session, options.seed);
      const judge = new ModelJudge(session, origin, dataset, parts, { ...options, provider });
      await judge.requireOutputs();
      return judge;
    } catch (error) {
      await session.dispose();
      await origin?.dispose();
      throw error;
    }
  };
}

interface Part {
  readonly samples: number;
  /** Undefined for made-up inputs. */
  readonly dataset: Dataset | undefined;
  batches(samples: number, batch?: number): AsyncIterable<FeedBatch> | Iterable<FeedBatch>;
}

type Parts = Readonly<Record<JudgedPart, Part>>;

function partsOf(
  whole: Dataset,
  session: Session,
  searchSamples: number,
  { seed, samples: most = Number.POSITIVE_INFINITY }: JudgeOptions,
): Parts {
  const search = Math.min(searchSamples, most, Math.floor(whole.samples / 2));
  if (search === 0)
    throw new UserError(
      'judge-samples',
      `${whole.dir} has ${whole.samples} evaluation sample: a search needs two at least, one to look at and one for the verdict.`,
    );
  const part = (skip: number, samples: number): Part => {
    const dataset = datasetPart(whole, { seed, skip, samples });
    return {
      samples,
      dataset,
      batches: (count, batch) =>
        withStates(
          dataset.batches({ inputs: session.inputs, samples: count, ...(batch !== undefined && { batch }) }),
          session,
        ),
    };
  };
  return { search: part(0, search), heldOut: part(search, Math.min(most, whole.samples - search)) };
}

async function madeUpParts(model: Model, session: Session, seed: number): Promise<Parts> {
  const all = await syntheticFeeds(model, session, { seed, count: 2 * madeUp });
  const part = (feeds: readonly FeedBatch[]): Part => ({
    samples: feeds.length,
    dataset: undefined,
    batches: (count) => feeds.slice(0, count),
  });
  return { search: part(all.slice(0, madeUp)), heldOut: part(all.slice(madeUp)) };
}

class ModelJudge implements Judge {
  readonly source: 'data' | 'synthetic';
  readonly provider: string;
  readonly samples: Readonly<Record<JudgedPart, number>>;
  readonly #session: Session;
  /** The model as it came, where the judged one has lost something already. */
  readonly #origin: Session | undefined;
  readonly #whole: Dataset | undefined;
  readonly #parts: Parts;
  readonly #options: JudgeOptions & { readonly provider: string };
  /** What base scored; undefined where no metric fits the outputs. */
  readonly #evaluated = new Map<JudgedPart, Evaluation | undefined>();

  constructor(
    session: Session,
    origin: Session | undefined,
    whole: Dataset | undefined,
    parts: Parts,
    options: JudgeOptions & { readonly provider: string },
  ) {
    this.#session = session;
    this.#origin = origin;
    this.#whole = whole;
    this.#parts = parts;
    this.#options = options;
    this.provider = options.provider;
    this.source = parts.search.dataset ? 'data' : 'synthetic';
    this.samples = { search: parts.search.samples, heldOut: parts.heldOut.samples };
  }

  /** @throws UserError where outputs judge by themselves, without labels, and say nothing (see `whyNothingIsTold`): all models would be equal. */
  async requireOutputs(): Promise<void> {
    const { dataset } = this.#parts.search;
    if (dataset?.hasLabels || (dataset?.metric !== undefined && dataset.metric !== agreement.id)) return;
    const what = this.source === 'data' ? 'samples' : 'made-up inputs';
    for (const part of [this.#parts.search, this.#parts.heldOut]) {
      const batches = part.batches(Math.min(compared, part.samples));
      const why = await whyNothingIsTold(this.#session, batches, what);
      if (why !== undefined) throw new UserError('judge-nothing', `${why}.`);
    }
  }

  async some(count: number, batch: number): Promise<readonly JudgedBatch[]> {
    const batches: JudgedBatch[] = [];
    for await (const { feeds, size } of this.#parts.search.batches(count, batch)) batches.push({ feeds, size });
    return batches;
  }

  async open(model: Model): Promise<Runner> {
    const { provider } = this.#options;
    const session = await openModel(model, { provider, label: 'a part of the model' });
    return {
      run: (feeds, outputs) => session.run(adaptFeeds(feeds, session.inputs), outputs),
      time: (feeds) => timeRuns(session.timer(adaptFeeds(feeds, session.inputs))),
      dispose: () => session.dispose(),
    };
  }

  tally(): LossTally {
    return new Tally();
  }

  async score(model: Model, part: JudgedPart): Promise<Score> {
    const { provider } = this.#options;
    const own = this.#parts[part];
    const { dataset, samples } = own;
    const before = await this.#baseEvaluation(part);
    const session = await openModel(model, { provider, label: 'the changed model' });
    try {
      const worst = await this.#decibels(this.#session, session, own);
      if (!before || !dataset) {
        const value = this.#origin ? await this.#decibels(this.#origin, session, own) : worst;
        return { metric: 'sqnr', value, base: Number.POSITIVE_INFINITY, drop: 0, samples, sqnrDb: worst };
      }
      const after = await this.#evaluate(session, dataset);
      const { metric, value } = after;
      const drop = after.higherIsBetter ? before.value - value : value - before.value;
      // Without a number the outputs are worthless, which no floor grants.
      return {
        metric,
        value,
        base: before.value,
        drop: Number.isNaN(drop) ? Number.POSITIVE_INFINITY : drop,
        samples: after.samples,
        sqnrDb: worst,
      };
    } finally {
      await session.dispose();
    }
  }

  async fixed(limit: DropLimit): Promise<FixedLimit> {
    if (limit !== usual) return limit;
    const base = await this.#baseEvaluation('search');
    return base ? usualLimit(base.metric, base.value) : usualLimit('sqnr', 0);
  }

  async left(limit: FixedLimit): Promise<FixedLimit> {
    if (!this.#origin || !this.#whole || !(await this.#baseEvaluation('search'))) return limit;
    const [came, now] = [
      await this.#evaluate(this.#origin, this.#whole),
      await this.#evaluate(this.#session, this.#whole),
    ];
    const spent = came.higherIsBetter ? came.value - now.value : now.value - came.value;
    // Without a number there is nothing to hold anything to.
    return Number.isNaN(spent) ? Number.NEGATIVE_INFINITY : allowedDrop(limit, came.metric, came.value) - spent;
  }

  async nodeTimes(model: Model): Promise<ReadonlyMap<string, number>> {
    return await nodeTimes(model, await this.#oneFeed(), this.#options.signal);
  }

  async dispose(): Promise<void> {
    await this.#session.dispose();
    await this.#origin?.dispose();
  }

  /** Of the worst output, against a model's on the same inputs. */
  async #decibels(reference: Session, session: Session, part: Part): Promise<number> {
    const feeds = part.batches(Math.min(compared, part.samples));
    const { outputs } = await compare(reference, session, feeds, this.#options.signal);
    return Math.min(...outputs.map(({ sqnrDb }) => sqnrDb));
  }

  async #evaluate(session: Session, dataset: Dataset): Promise<Evaluation> {
    const { signal, samples } = this.#options;
    return await evaluate(session, dataset, {
      reference: this.#origin ?? this.#session,
      ...(signal && { signal }),
      ...(samples !== undefined && { samples }),
    });
  }

  async #oneFeed(): Promise<ReadonlyMap<string, Tensor>> {
    for await (const { feeds } of this.#parts.search.batches(1, 1)) return feeds;
    return bug('a part without samples');
  }

  /** Undefined where there is no data, or its outputs hold nothing that a metric can judge: decibels count then. */
  async #baseEvaluation(part: JudgedPart): Promise<Evaluation | undefined> {
    const { dataset } = this.#parts[part];
    if (!dataset) return undefined;
    if (!this.#evaluated.has(part)) this.#evaluated.set(part, await this.#evaluateBase(dataset));
    return this.#evaluated.get(part);
  }

  async #evaluateBase(dataset: Dataset): Promise<Evaluation | undefined> {
    try {
      return await this.#evaluate(this.#session, dataset);
    } catch (error) {
      // Without labels and without classes; a wrong metric of the user's own is his to hear of.
      if (
        error instanceof UserError &&
        error.code === 'metric-output' &&
        dataset.metric === undefined &&
        !dataset.hasLabels
      )
        return undefined;
      throw error;
    }
  }
}

/** Enough for a median, however fast the model. */
async function timeRuns(timer: Timer): Promise<number> {
  const [first = 0] = await timer({ count: 1, settleMs: 0 });
  const count = Math.max(5, Math.min(50, Math.ceil(20 / Math.max(first, 0.01))));
  return median(await timer({ count, settleMs: 0 }));
}

class Tally implements LossTally {
  readonly #sums = new Map<string, ErrorSums>();
  #classes: string | undefined;
  #rows = 0;
  #divergence = 0;
  #samples = 0;
  #flips = 0;

  add(base: ReadonlyMap<string, Tensor>, other: ReadonlyMap<string, Tensor>, size: number): void {
    for (const [name, expected] of base) {
      const actual = other.get(name);
      if (!actual || dtypeKind(expected.dtype) !== 'float') continue;
      const sums = this.#sums.get(name) ?? emptyErrorSums();
      this.#sums.set(name, sums);
      const [a, b] = [numbersOf(expected), numbersOf(actual)];
      // Another number of rows (detections, say) is another answer altogether.
      if (a.length !== b.length) sums.noise = Number.POSITIVE_INFINITY;
      else addErrors(sums, a, b);
      const classes = competingScores(expected);
      if (classes === undefined || classes < 2 || a.length !== b.length || (expected.shape[0] ?? 0) < size) continue;
      this.#classes ??= name;
      if (this.#classes !== name) continue;
      this.#rows += a.length / classes;
      this.#divergence += sumOfDivergences(a, b, classes);
      const [before, after] = [argmaxRows(expected, size), argmaxRows(actual, size)];
      this.#flips += before.filter((row, at) => row.some((best, place) => best !== after[at]?.[place])).length;
      this.#samples += size;
    }
  }

  result(): Loss {
    const sums = [...this.#sums.values()];
    const noises = sums.map(({ noise, signal }) => (noise === 0 ? 0 : noise / signal));
    const known = this.#classes !== undefined;
    return {
      noise: noises.length === 0 ? 0 : noises.reduce((a, b) => a + b, 0) / noises.length,
      sqnrDb: Math.min(Number.POSITIVE_INFINITY, ...sums.map(sqnrDb)),
      kl: known ? this.#divergence / this.#rows : undefined,
      flips: known ? this.#flips / this.#samples : undefined,
    };
  }
}
