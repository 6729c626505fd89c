import type { Model, Node, Value } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import type { Histogram } from '../kernels/histogram.ts';
import type { ConvWindow } from '../kernels/patches.ts';
import type { LayerFindings, MakeJudge } from './judge.ts';
import type { OptionTable, OptionValues } from './options.ts';

/**
 * What a pass promises about the numbers: read by tests, `--verify` and the report.
 * exact: bit-identical under ONNX Runtime without its optimizer and its prepacking of constant weights · reordered: only float rounding differs, within
 * |a − b| ≤ atol·max(1, max|b|) + rtol·|b| in float32 (rounding noise grows with what was summed, not with what is left of
 * it; half precision has 13 bits less and is granted 128 times that) · lossy: at least `sqnrDb` decibels on ordinary data.
 */
export type Numerics =
  | { readonly kind: 'exact' }
  | { readonly kind: 'reordered'; readonly rtol: number; readonly atol: number }
  | { readonly kind: 'lossy'; readonly sqnrDb: number };

export const exact: Numerics = { kind: 'exact' };
export const reordered = (rtol = 1e-4, atol = 1e-5): Numerics => ({ kind: 'reordered', rtol, atol });
export const lossy = (sqnrDb: number): Numerics => ({ kind: 'lossy', sqnrDb });

/** ONNX Runtime as a calculator. Runs a self-contained model with its own optimizer off. */
export interface Compute {
  /**
   * @param options.again this very model is run often, and is not changed in between: what was made ready for it is kept as long as it lives
   * @returns the outputs by name. @throws when the runtime has no kernel for a node, or the inputs do not fit.
   */
  run(
    model: Model,
    feeds?: ReadonlyMap<string, Tensor>,
    options?: { readonly again?: boolean },
  ): Promise<Map<string, Tensor>>;
  /** Bytes of memory that can still be had; absent where nobody can tell. */
  freeBytes?(): number;
}

/** Statistics of one activation tensor over the calibration samples. NaN and infinities are counted, not folded in. */
export interface ActivationRange {
  readonly min: number;
  readonly max: number;
  readonly absMax: number;
  readonly nan: number;
  readonly inf: number;
}

/** The input of a linear layer: a float value of the main graph whose last dimension is `k`. */
export interface GramRequest {
  readonly value: Value;
  readonly k: number;
}

/** What a linear layer saw: rows x [k] of its input. Rows with NaN or infinities are counted and left out. */
export interface Gram {
  readonly k: number;
  /** Rows summed up, Σxᵀx [k, k] and Σx [k] over them. */
  readonly rows: number;
  readonly sum: Float32Array;
  readonly total: Float64Array;
  /** Some rows [heldOutRows, k + carried] that are not in the sum: to judge by what was fitted to it. */
  readonly heldOutRows: number;
  readonly heldOut: Float32Array;
  readonly nonFinite: number;
  /** Columns behind the k that are in no sum; none where undefined. */
  readonly carried?: number;
  /** Some of the rows that are in the sum [·, k + carried], where they were asked for. */
  readonly kept?: Float32Array;
}

/** A float value and the axis along which its channels lie; negative axes count from the end. */
export interface ChannelRequest {
  readonly value: Value;
  readonly axis: number;
}

/** One number per channel. NaN and infinities are counted and left out. */
export interface ChannelStats {
  /** Finite elements. */
  readonly count: Float64Array;
  readonly mean: Float64Array;
  /** Mean of the squares. */
  readonly meanSquare: Float64Array;
  readonly min: Float64Array;
  readonly max: Float64Array;
  readonly nonFinite: number;
}

/** The input of a Conv, seen through its window: [N, C, spatial…]. `k` is C / groups · elements of the kernel. */
export interface PatchRequest {
  readonly value: Value;
  readonly window: ConvWindow;
  readonly groups: number;
  readonly k: number;
}

/** A layer that is to give what another model has in its place. */
export interface PairRequest {
  /** What it reads. */
  readonly input: GramRequest | PatchRequest;
  /** Name of the value in the reference that it should give, and which channels of it (all where undefined). */
  readonly target: string;
  readonly channels: readonly number[] | undefined;
  /** Channels that it gives. */
  readonly outputs: number;
  /** The sum that its output goes into, by name in the reference, and what stands beside it there: where that can be observed, the sum is the target. */
  readonly joined: { readonly name: string; readonly minus: Value } | undefined;
  /**
   * What alone reads the target clips it to this (a Relu, say): beyond, it may be anything. Where the target is what is asked for, the gram
   * has rows kept [x, t, and beside a sum what stands there].
   */
  readonly clip?: Clip | undefined;
}

export interface Clip {
  readonly low: number;
  readonly high: number;
}

/** How closely pairs are looked at; what is not said is what a final fit takes. */
export interface PairSampling {
  /** At most so many samples. */
  readonly samples?: number;
  /** Rows for one layer: so many at least, and so many for each input of a dot product. */
  readonly rows?: { readonly least: number; readonly perInput: number };
}

/** Finer statistics than ranges: what repairs and roundings are fitted to. Each in one pass over the samples and in bounded memory. */
export interface LayerStatistics {
  /** By name; a value is left out where it was not reached, or where its number of channels changed from sample to sample. */
  channels(model: Model, requests: readonly ChannelRequest[]): Promise<ReadonlyMap<string, ChannelStats>>;
  /**
   * Second moments of the patches that convolutions multiply with, one gram per group: as `Activations.grams`, over patches at
   * random places (a few thousand, eight for each of `k`, are enough for a good estimate).
   */
  patches(
    model: Model,
    requests: readonly PatchRequest[],
    visit: (request: PatchRequest, grams: readonly Gram[]) => void | Promise<void>,
  ): Promise<void>;
  /**
   * The same for linear layers and convolutions together, in the order in which their inputs are made, each observed with the weights
   * that stand in by then. `visit` must leave the model as it is.
   */
  inOrder(
    model: Model,
    requests: readonly (GramRequest | PatchRequest)[],
    visit: (request: GramRequest | PatchRequest, grams: readonly Gram[]) => Promise<StandIns | undefined>,
  ): Promise<void>;
  /**
   * Second moments of rows [x, t] over samples: x what a layer of `model` reads (patches for convolutions), t what `reference` has in
   * the layer's place, one gram per group; in the order of the model, each layer behind the weights that stand in by then.
   */
  pairs(
    reference: Model,
    model: Model,
    requests: readonly PairRequest[],
    visit: (request: PairRequest, grams: readonly Gram[]) => Promise<StandIns | undefined>,
    sampling?: PairSampling,
  ): Promise<void>;
  /** SQNR in dB of each output of `candidate` against that of `base`, on at most `samples` samples, the runtime's optimizer off. */
  sqnr(base: Model, candidate: Model, samples: number): Promise<ReadonlyMap<string, number>>;
}

export interface HistogramOptions {
  /** By name, for values of which the extremes of each channel are wanted too. */
  readonly channelAxes?: ReadonlyMap<string, number>;
  /** Extremes will do (`Histogram.extremesOnly`), which takes a third of the time. */
  readonly extremesOnly?: boolean;
  /** Moving averages of the extremes of samples are wanted too (`Histogram.averaged`). */
  readonly averages?: boolean;
}

/** Activation statistics of the model as it is now; absent when there is no data to run it on. */
export interface Activations {
  /** `synthetic` when the samples were made up from the model's own signature. */
  readonly source: 'data' | 'synthetic';
  readonly samples: number;
  /** Ranges of float values by name, for the main graph's values asked for. Values that are not there were not reached. */
  ranges(model: Model, values: readonly Value[]): Promise<ReadonlyMap<string, ActivationRange>>;
  /**
   * Histograms of the same values, in one pass over the samples and in memory that does not grow with them.
   */
  histograms(
    model: Model,
    values: readonly Value[],
    wanted?: HistogramOptions,
  ): Promise<ReadonlyMap<string, Histogram>>;
  /**
   * Second moments of the inputs of linear layers, handed to `visit` one by one in memory that does not grow with the
   * samples. `visit` must leave the model as it is. Values that were not reached come with 0 rows; values of subgraphs never come.
   */
  grams(model: Model, requests: readonly GramRequest[], visit: VisitGram, options?: GramOptions): Promise<void>;
  readonly layers: LayerStatistics;
}

/** @returns weights that stand in for those of the model from here on, for all values asked for that come later. */
export type VisitGram = (
  value: Value,
  gram: Gram,
) => Promise<StandIns | undefined | void> | StandIns | undefined | void;

/** Other data, of the same type and shape, for constants. */
export type StandIns = ReadonlyMap<Value, Tensor>;

export interface GramOptions {
  /** Values come in the order in which they are made, each observed with the weights that stand in by then. */
  readonly sequential?: boolean;
}

/** What a rule did, or why it did not. */
export interface Trace {
  /** `rule` fired at `node`; `detail` is a short phrase (what came out). */
  applied(rule: string, node: Node | string, detail?: string): void;
  /** `rule` looked at `node` and left it: `why` is a sentence a user can act on. */
  skipped(rule: string, node: Node | string, why: string): void;
}

/** Everything a pass may know beside the model and its options: no file system, no runtime, no console. */
export interface PassContext extends Trace {
  readonly compute: Compute;
  readonly activations: Activations | undefined;
  /** Statistics over made-up samples, for passes whose user asked for them in want of data. */
  readonly madeUpActivations?: Activations | undefined;
  /** Statistics over text that a causal language model writes itself, or why this one writes none. */
  readonly ownText?: ((model: Model) => Promise<Activations | string>) | undefined;
  /** Judges changed versions of a model by the data, or by made-up inputs; for passes that search. */
  readonly judge?: MakeJudge | undefined;
  /** What a long pass is at, for the live line. */
  readonly progress?: ((what: string) => void) | undefined;
  /** A step of a pass's reasoning, in a sentence: kept in the trace and the report. */
  readonly note?: ((sentence: string) => void) | undefined;
  /** What a pass measured of the layers, for the report. */
  readonly found?: ((findings: LayerFindings) => void) | undefined;
  readonly signal: AbortSignal;
  readonly seed: number;
  /** `mlpack explain`: report every miss to `skipped`, not only the near ones. */
  readonly explain?: boolean;
}

export interface PassResult {
  readonly changed: boolean;
}

export interface Pass<T extends OptionTable = OptionTable> {
  /** The command's name too: `quantize-int8`. */
  readonly id: string;
  /** One line for `--help`. */
  readonly summary: string;
  readonly options: T;
  /** Every rule name that `applied` and `skipped` can carry, with one line each, for docs and `explain`. */
  readonly rules: Readonly<Record<string, string>>;
  numerics(options: OptionValues<T>): Numerics;
  run(model: Model, options: OptionValues<T>, ctx: PassContext): Promise<PassResult> | PassResult;
}

/** A pass with its options set: what pipelines are made of. */
export interface Step {
  readonly pass: Pass;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Declares a pass; the result is called with options to make a step: `fuse({ level: 'portable' })`. */
export function definePass<const T extends OptionTable>(
  spec: Pass<T>,
): Pass<T> & ((options?: Partial<OptionValues<T>>) => Step) {
  const make = (options: Partial<OptionValues<T>> = {}): Step => {
    const values: Record<string, unknown> = {};
    for (const [name, option] of Object.entries(spec.options)) {
      values[name] = (options as Record<string, unknown>)[name] ?? option.default;
    }
    return { pass: spec, options: values };
  };
  return Object.assign(make, spec);
}
