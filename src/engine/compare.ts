import { castTensor, isCastable, type Numbers, numbersOf } from '../data/cast.ts';
import { argmaxRows, competingScores, hasRowPerSample } from '../data/metrics/rows.ts';
import { bug, UserError } from '../errors.ts';
import { dtypeKind, isDType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import {
  addErrors,
  cosine,
  type ErrorSums,
  emptyErrorSums,
  sqnrDb,
  type Tolerance,
  toleranceUsed,
} from '../kernels/error.ts';
import type { Fidelity, IoInfo } from '../report/report.ts';
import type { Session } from './session.ts';

/** Inputs of one inference, with the number of samples in them. */
export interface FeedBatch {
  readonly feeds: ReadonlyMap<string, Tensor>;
  /** Samples that count; the feeds may hold more rows. */
  readonly size: number;
}
export type FeedBatches = AsyncIterable<FeedBatch> | Iterable<FeedBatch>;

/** Differences of one value, over all samples. */
export interface Difference {
  readonly name: string;
  readonly dtype: string;
  readonly elements: number;
  /** 20·log₁₀(‖base‖ / ‖base − candidate‖): Infinity for equal values, −Infinity where only one has NaN or infinities. */
  readonly sqnrDb: number;
  readonly cosine: number;
  readonly maxAbs: number;
  /** max |a − b| / max(|a|, RMS of a): small values are not blown up. */
  readonly maxRel: number;
  /** Largest error as a share of what the tolerance grants (above 1 it is broken); undefined where none was given. */
  readonly toleranceUsed: number | undefined;
  /** Elements that are NaN or infinite. */
  readonly nonFinite: { readonly base: number; readonly candidate: number };
  /** Integer values: largest difference and the share of elements that differ at all. */
  readonly steps: { readonly max: number; readonly share: number } | undefined;
  /** Share of samples with the same highest class, where an argmax makes sense. */
  readonly agreement: number | undefined;
  /** Share of positions with the same highest class, where samples have several (tokens, pixels): of a text of 48 tokens one that differs makes another sample. */
  readonly positionAgreement: number | undefined;
  /** Shapes, where the two models gave different ones: nothing else was compared then. */
  readonly shapes: { readonly base: readonly number[]; readonly candidate: readonly number[] } | undefined;
}

export interface Comparison {
  readonly samples: number;
  readonly outputs: readonly Difference[];
}

/** Halves have 13 bits less than float32, and bfloat16 16: most of that is granted on top. */
const widen: Readonly<Record<string, number>> = { float16: 128, bfloat16: 1024 };

/**
 * Gives both models the same inputs and compares their outputs by name. Inputs are cast where the candidate takes
 * another type (half precision).
 * @param tolerance what each element is held against: rtol and atol for float32, more of it for halves.
 * @throws UserError when the candidate lacks an output, or a model cannot be run on the inputs.
 */
export async function compare(
  base: Session,
  candidate: Session,
  batches: FeedBatches,
  signal?: AbortSignal,
  tolerance?: Tolerance,
): Promise<Comparison> {
  const names = comparedOutputs(base, candidate);
  const totals = new Map(names.map((name) => [name, new DifferenceTotals(name, tolerance)]));
  let samples = 0;
  for await (const { feeds, size } of batches) {
    signal?.throwIfAborted();
    const expected = await base.run(adaptFeeds(feeds, base.inputs), names);
    const actual = await candidate.run(adaptFeeds(feeds, candidate.inputs), names);
    for (const [name, total] of totals)
      total.add(expected.get(name) ?? bug(name), actual.get(name) ?? bug(name), size, feeds);
    samples += size;
  }
  return { samples, outputs: [...totals.values()].map((total) => total.result()) };
}

function comparedOutputs(base: Session, candidate: Session): string[] {
  const has = new Set(candidate.outputs.map((output) => output.name));
  const missing = base.outputs.find((output) => !has.has(output.name));
  if (missing) {
    throw new UserError(
      'compare-outputs',
      `The candidate has no output "${missing.name}"; it has ${[...has].map((name) => `"${name}"`).join(', ')}.`,
    );
  }
  const numbers = base.outputs.filter((output) => isCastable(output.dtype)).map((output) => output.name);
  if (numbers.length > 0) return numbers;
  const given = base.outputs.map(
    ({ name, dtype }) => `"${name}" (${dtype === 'non-tensor' ? 'a sequence or map' : dtype})`,
  );
  throw new UserError(
    'compare-nothing',
    `The model has no output of numbers that could be compared, only ${given.join(', ')}: mlpack tensor-outputs gives the ` +
      'scores of a classifier as a tensor.',
  );
}

/** The feeds in the element types that these inputs want, as far as numbers can be cast. */
export function adaptFeeds(feeds: ReadonlyMap<string, Tensor>, inputs: readonly IoInfo[]): ReadonlyMap<string, Tensor> {
  const adapted = new Map(feeds);
  for (const { name, dtype } of inputs) {
    const tensor = feeds.get(name);
    if (tensor && tensor.dtype !== dtype && isDType(dtype) && isCastable(dtype) && isCastable(tensor.dtype)) {
      adapted.set(name, castTensor(tensor, dtype));
    }
  }
  return adapted;
}

/** Adds up the differences of one value batch by batch. */
export class DifferenceTotals {
  readonly #name: string;
  readonly #sums: ErrorSums = emptyErrorSums();
  #dtype = '';
  #relative = 0;
  #nonFinite = { base: 0, candidate: 0 };
  #differing = 0;
  #samples = 0;
  #agreeing: number | undefined = 0;
  #positions = 0;
  #agreeingPositions = 0;
  #shapes: Difference['shapes'];
  readonly #tolerance: Tolerance | undefined;
  #toleranceUsed = 0;

  constructor(name: string, tolerance?: Tolerance) {
    this.#name = name;
    this.#tolerance = tolerance;
  }

  /** @param feeds what the model was given: tells whether the rows of an output are those of samples. */
  add(base: Tensor, candidate: Tensor, size: number, feeds?: ReadonlyMap<string, Tensor>): void {
    this.#dtype = base.dtype;
    if (base.shape.join() !== candidate.shape.join()) {
      this.#shapes ??= { base: base.shape, candidate: candidate.shape };
      return;
    }
    const a = numbersOf(base);
    const b = numbersOf(candidate);
    addErrors(this.#sums, a, b);
    this.#relative = Math.max(this.#relative, maxRelative(a, b));
    if (this.#tolerance) {
      const factor = widen[base.dtype] ?? 1;
      const tolerance = { rtol: this.#tolerance.rtol * factor, atol: this.#tolerance.atol * factor };
      this.#toleranceUsed = Math.max(this.#toleranceUsed, toleranceUsed(a, b, tolerance));
    }
    if (dtypeKind(base.dtype) === 'float') {
      this.#nonFinite.base += countNonFinite(a);
      this.#nonFinite.candidate += countNonFinite(b);
    } else {
      for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) this.#differing++;
    }
    if (feeds && !hasRowPerSample(base, feeds)) this.#agreeing = undefined;
    this.#agree(base, candidate, size);
  }

  result(): Difference {
    const sums = this.#sums;
    const isFloat = dtypeKindOf(this.#dtype) === 'float';
    const failed = this.#shapes !== undefined;
    return {
      name: this.#name,
      dtype: this.#dtype,
      elements: sums.count,
      sqnrDb: failed ? Number.NEGATIVE_INFINITY : sqnrDb(sums),
      cosine: failed ? Number.NaN : cosine(sums),
      maxAbs: failed ? Number.POSITIVE_INFINITY : sums.maxAbs,
      maxRel: failed ? Number.POSITIVE_INFINITY : this.#relative,
      toleranceUsed: this.#tolerance && (failed ? Number.POSITIVE_INFINITY : this.#toleranceUsed),
      nonFinite: { ...this.#nonFinite },
      steps: isFloat ? undefined : { max: sums.maxAbs, share: sums.count === 0 ? 0 : this.#differing / sums.count },
      agreement: this.#agreeing === undefined || this.#samples === 0 ? undefined : this.#agreeing / this.#samples,
      positionAgreement:
        this.#agreeing === undefined || this.#positions <= this.#samples
          ? undefined
          : this.#agreeingPositions / this.#positions,
      shapes: this.#shapes,
    };
  }

  #agree(base: Tensor, candidate: Tensor, size: number): void {
    if (this.#agreeing === undefined || competingScores(base) === undefined || (base.shape[0] ?? 0) < size) {
      this.#agreeing = undefined;
      return;
    }
    const a = argmaxRows(base, size);
    const b = argmaxRows(candidate, size);
    for (const [sample, row] of a.entries()) {
      const same = row.filter((best, at) => best === b[sample]?.[at]).length;
      this.#positions += row.length;
      this.#agreeingPositions += same;
      if (same === row.length) this.#agreeing++;
    }
    this.#samples += size;
  }
}

function dtypeKindOf(dtype: string): string | undefined {
  return isDType(dtype) ? dtypeKind(dtype) : undefined;
}

function countNonFinite(values: Numbers): number {
  let count = 0;
  for (const value of values) if (!Number.isFinite(value)) count++;
  return count;
}

function maxRelative(a: Numbers, b: Numbers): number {
  let energy = 0;
  let finite = 0;
  for (const value of a) {
    if (!Number.isFinite(value)) continue;
    energy += value * value;
    finite++;
  }
  const floor = Math.sqrt(energy / Math.max(finite, 1));
  let worst = 0;
  for (let at = 0; at < a.length; at++) {
    const x = a[at] as number;
    const error = Math.abs(x - (b[at] as number));
    if (error === 0 || Object.is(x, b[at])) continue;
    const relative = error / Math.max(Math.abs(x), floor);
    if (!(relative <= worst)) worst = Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative;
  }
  return worst;
}

/**
 * Figures in the report's form, which JSON must be able to carry: null for equal values; those that only one model made NaN or infinite
 * count as −200 dB and cosine 0.
 */
export function reported({ sqnrDb: db, cosine: angle, maxAbs }: Pick<Difference, 'sqnrDb' | 'cosine' | 'maxAbs'>): {
  readonly sqnrDb: number | null;
  readonly cosine: number;
  readonly maxAbs: number;
} {
  return {
    // The ratio of two infinite energies is no number, and no likeness.
    sqnrDb: db === Number.POSITIVE_INFINITY ? null : Number.isNaN(db) ? -200 : Math.max(db, -200),
    cosine: Number.isNaN(angle) ? 0 : angle,
    maxAbs: Math.min(Number.MAX_VALUE, maxAbs),
  };
}

/** The comparison in the report's form, all outputs taken together: lowest SQNR and cosine, largest error, agreement of the first output that has classes. */
export function toFidelity(comparison: Comparison): Fidelity {
  const { outputs, samples } = comparison;
  const figures = outputs.map(reported);
  const worst = Math.min(...figures.map(({ sqnrDb: db }) => db ?? Number.POSITIVE_INFINITY));
  return {
    sqnrDb: worst === Number.POSITIVE_INFINITY ? null : worst,
    cosine: Math.min(1, ...figures.map((one) => one.cosine)),
    maxAbs: Math.max(0, ...figures.map((one) => one.maxAbs)),
    samples,
    agreement: outputs.find((output) => output.agreement !== undefined)?.agreement ?? null,
  };
}
