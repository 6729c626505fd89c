import { allowedDrop, type DropLimit, type FixedLimit } from '../drop-limit.ts';
import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';

/** Inputs of one inference, with the number of samples in them that count. */
export interface JudgedBatch {
  readonly feeds: ReadonlyMap<string, Tensor>;
  readonly size: number;
}

/** A model on the runtime. */
export interface Runner {
  /** @param outputs names; default all. */
  run(feeds: ReadonlyMap<string, Tensor>, outputs?: readonly string[]): Promise<Map<string, Tensor>>;
  /** Median of a few inferences after warming up, milliseconds. */
  time(feeds: ReadonlyMap<string, Tensor>): Promise<number>;
  dispose(): Promise<void>;
}

/** What outputs lost against those of base on the same inputs. */
export interface Loss {
  /** Mean over the outputs of Σ(x − y)² / Σx²: adds up, roughly, over layers that err independently. */
  readonly noise: number;
  /** Of the worst output, decibels; Infinity: identical. */
  readonly sqnrDb: number;
  /** Mean Kullback–Leibler divergence of the first output that holds class scores, nats; undefined where none does. */
  readonly kl: number | undefined;
  /** Share of samples whose highest class is another one, of the same output. */
  readonly flips: number | undefined;
}

/** Adds up losses batch by batch. */
export interface LossTally {
  add(base: ReadonlyMap<string, Tensor>, other: ReadonlyMap<string, Tensor>, size: number): void;
  result(): Loss;
}

/** A whole model on one part of the samples. */
export interface Score {
  /** Id of the task metric, `agreement` without labels, `sqnr` (decibels) where outputs hold no classes either. */
  readonly metric: string;
  readonly value: number;
  readonly base: number;
  /** Positive is worse than base, whatever the direction; 0 for `sqnr`, which has no base to fall from. */
  readonly drop: number;
  readonly samples: number;
  readonly sqnrDb: number;
}

/** What a model may lose. */
export interface Floor {
  readonly maxDrop: DropLimit;
  /** Decibels asked for where there is no metric. */
  readonly minSqnrDb: number;
}

/** Samples that a search may look at, and samples kept apart for the verdict: the parts share none. */
export type JudgedPart = 'search' | 'heldOut';

/** Judges changed versions of one model, the base, by the data: what a search over formats needs. */
export interface Judge {
  readonly source: 'data' | 'synthetic';
  readonly provider: string;
  readonly samples: Readonly<Record<JudgedPart, number>>;
  /** Some samples of the search part, in batches of at most `batch`. */
  some(count: number, batch: number): Promise<readonly JudgedBatch[]>;
  open(model: Model): Promise<Runner>;
  tally(): LossTally;
  score(model: Model, part: JudgedPart): Promise<Score>;
  /** A limit that goes by the metric, as what it comes to for this judge's; another one as it is. */
  fixed(limit: DropLimit): Promise<FixedLimit>;
  /** What is left of an allowed drop where steps before have lost some of it already (below 0: more than all); the limit as it is where nothing was lost. */
  left(limit: FixedLimit): Promise<FixedLimit>;
  /** Milliseconds of one inference by node of the main graph (by the name of its first output), as the runtime's profile tells. */
  nodeTimes(model: Model): Promise<ReadonlyMap<string, number>>;
  dispose(): Promise<void>;
}

export interface MakeJudgeOptions {
  readonly searchSamples?: number;
  /**
   * The model as it came, where what is judged changes of has lost something against it already. What may still be lost is then what that left
   * (`Judge.left`), and metrics that compare outputs compare them with this one's.
   */
  readonly origin?: Model;
}

/** Makes the judge of a model; it copies what it needs, so that the model may be changed afterwards. */
export type MakeJudge = (base: Model, options?: MakeJudgeOptions) => Promise<Judge>;

/** Judges what comes behind steps that have lost something, so that all of them together keep the floor. */
export function judgeFrom(judge: MakeJudge, origin: Model): MakeJudge {
  return (base, options) => judge(base, { ...options, origin });
}

/** One layer alone in a format, all others in float. */
export interface LayerFinding {
  readonly label: string;
  readonly op: string;
  /** Of its weights in float. */
  readonly bytes: number;
  readonly timeShare: number | undefined;
  /** `samples`: where a layer was looked at on more than the others. */
  readonly formats: readonly ({ readonly format: string; readonly samples?: number } & Loss)[];
}

export interface LayerFindings {
  readonly samples: number;
  readonly source: Judge['source'];
  /** Nodes with weights that were not measured, with the reason. */
  readonly unmeasured: readonly { readonly node: string; readonly why: string }[];
  readonly layers: readonly LayerFinding[];
}

/** Whether a score is good enough. */
export function keepsFloor(score: Score, { maxDrop, minSqnrDb }: Floor): boolean {
  if (score.metric === 'sqnr') return score.value >= minSqnrDb;
  return score.drop <= allowedDrop(maxDrop, score.metric, score.base) + 1e-12;
}
