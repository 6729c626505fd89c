import type { ClassResult, LayerError, Placement, RuntimeAgreement, ScoresText, Sensitivity } from './evidence.ts';
import type { OpTime, ProviderInfo, Throughput, TimingNoise } from './timing.ts';

/**
 * The Report: plain JSON, versioned, the one result that reporters, the gate and CI read. Units are in the names;
 * ratios are candidate / base, so below 1 is better for size and latency.
 */

export const reportSchema = 'mlpack.report/1';

export interface Report {
  readonly schema: typeof reportSchema;
  readonly tool: { readonly name: 'mlpack'; readonly version: string };
  readonly createdAt: string;
  readonly command: string;
  readonly seed: number;
  readonly host: Host;
  readonly input: InputModel;
  /** Absent when there was neither data nor made-up input to judge by. */
  readonly data?: DataInfo;
  readonly limits: Limits;
  /** Which of flag, config and default set each option. */
  readonly origins?: Readonly<Record<string, 'flag' | 'config' | 'default'>>;
  /** Sentences about what makes the figures doubtful: a busy machine, few samples. */
  readonly warnings?: readonly string[];
  /** Providers that were measured on, by the name that `latency` has them under. */
  readonly providers?: Readonly<Record<string, ProviderInfo>>;
  /** By provider: how far its timings can be believed. */
  readonly noise?: Readonly<Record<string, TimingNoise>>;
  readonly targets: readonly string[];
  /** Which layers of base bear quantization, one entry a scheme. */
  readonly sensitivity?: readonly Sensitivity[];
  /** `base` first. */
  readonly variants: readonly VariantResult[];
  /** Usual variants that cannot pay on the providers of this run, with the reason. */
  readonly notBuilt?: readonly { readonly variant: string; readonly why: string }[];
  readonly bundles: readonly BundleResult[];
  readonly recommendations: readonly Recommendation[];
  readonly verdict: Verdict;
}

export interface Limits {
  /** Largest allowed drop of the task metric against base. */
  readonly maxDrop: number;
  /** Where nothing was labelled: how well outputs must match those of base, in decibels. */
  readonly minSqnrDb?: number;
}

export interface Verdict {
  readonly ok: boolean;
  readonly reasons: readonly string[];
}

export interface Host {
  readonly platform: string;
  readonly cpu: string;
  /** Instruction sets that decide int8 speed and saturation: avx2, avx512f, avx512_vnni, avx_vnni, asimddp, … */
  readonly flags: readonly string[];
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly ort: string;
}

export interface IoInfo {
  readonly name: string;
  readonly dtype: string;
  /** Numbers, symbols, or null where nothing is known. */
  readonly shape: readonly (number | string | null)[] | null;
}

export interface InputModel {
  readonly path: string;
  readonly sha256: string;
  /** External data included. */
  readonly bytes: number;
  /** Files beside the model that its weights are in; absent where there are none. */
  readonly externalData?: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  readonly parameters: number;
  readonly nodes: number;
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly producer: string;
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
}

export interface DataInfo {
  readonly path: string;
  readonly name: string;
  readonly samples: number;
  readonly calibrationSamples: number;
  readonly metric: string | null;
  /** True when inputs were made up (seeded) because there was no data. */
  readonly synthetic: boolean;
  /** Of the samples that were judged on and their labels, in order; absent where it was not taken. */
  readonly sha256?: string;
}

export interface SkippedRule {
  readonly rule: string;
  readonly node: string;
  readonly why: string;
  /** Of the weights that the node reads; absent where it reads none, and in reports of earlier versions. */
  readonly weightBytes?: number;
}

export interface StepResult {
  readonly pass: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly changed: boolean;
  /** How often each rule fired. */
  readonly applied: Readonly<Record<string, number>>;
  readonly skipped: readonly SkippedRule[];
  /** What the pass reasoned on its way, step by step; only where it searched. */
  readonly notes?: readonly string[];
  readonly nodesBefore: number;
  readonly nodesAfter: number;
  readonly ms: number;
}

/** Against the base model, same inputs. SQNR of identical outputs is null (infinite). */
export interface Fidelity {
  readonly sqnrDb: number | null;
  readonly cosine: number;
  readonly maxAbs: number;
  readonly samples: number;
  /** Share of samples on which argmax of the main output equals the base model's, where an argmax makes sense. */
  readonly agreement: number | null;
}

/** null where a model's outputs give no finite number (NaN from a half-precision overflow, say). */
export interface Accuracy {
  readonly metric: string;
  readonly value: number | null;
  readonly base: number | null;
  /** base − value for metrics where more is better, value − base otherwise: positive is worse. null: cannot be said. */
  readonly drop: number | null;
  readonly samples: number;
  /** Of the metric; absent in reports of earlier versions. */
  readonly higherIsBetter?: boolean;
  /** 95 % interval of the drop, from the same samples through both models; absent where there is none (base itself, no numbers). */
  readonly dropCi?: readonly [number, number];
  /** For metrics of right and wrong: on which samples the two models differ. */
  readonly discordant?: DiscordantSamples;
  /** Samples that would tell a drop of the limit from none (80 % power, 5 % significance); only where there are fewer. */
  readonly neededSamples?: number;
  /** By class, where samples have classes, worst first; of many the 50 that lost most and the 50 least likely by chance; absent for base itself. */
  readonly classes?: readonly ClassResult[];
  /** For comparing with a later run sample by sample. */
  readonly scores?: ScoresText;
}

export interface DiscordantSamples {
  /** Right in base, wrong here. */
  readonly lost: number;
  /** Wrong in base, right here. */
  readonly gained: number;
  /** McNemar's exact test, one-sided: how likely chance alone loses that many of them. */
  readonly p: number;
}

export interface Latency {
  readonly p50: number;
  readonly p90: number;
  readonly p95?: number;
  readonly p99: number;
  readonly samples: number;
  /** Quantiles at even steps, from the fastest to the slowest. */
  readonly distribution?: readonly number[];
  /** Median of (this variant / base) over the rounds in which both were timed next to each other, in one process. */
  readonly ratioToBase: number;
  /** Bootstrap 95 % interval of that ratio. */
  readonly ratioCi: readonly [number, number];
  /** `faster`, `slower`, `same` (below what this machine can tell), `undecided`; absent for base. */
  readonly call?: string;
}

export interface AuditFinding {
  readonly node: string;
  readonly op: string;
  /** Rule that the node breaks, in a sentence. */
  readonly why: string;
}

/** What ONNX Runtime made of the file at optimization level extended. */
export interface Audit {
  readonly quantizedNodes: number;
  /** Heavy nodes (Conv, Gemm, MatMul, attention, RNN) that still run in float. */
  readonly floatNodes: number;
  readonly leftoverQdq: number;
  readonly insertedCasts: number;
  readonly fusedOps: Readonly<Record<string, number>>;
  readonly findings: readonly AuditFinding[];
}

export interface VariantResult {
  readonly name: string;
  readonly steps: readonly StepResult[];
  /** Relative to the report; null when the variant could not be built. */
  readonly file: string | null;
  readonly sha256: string | null;
  readonly bytes: number | null;
  /** Size after brotli, the size of a download. */
  readonly compressedBytes: number | null;
  readonly parameters: number | null;
  readonly nodes: number | null;
  readonly ops: Readonly<Record<string, number>>;
  readonly fidelity: Fidelity | null;
  readonly accuracy: Accuracy | null;
  /** By provider, milliseconds per inference. */
  readonly latency: Readonly<Record<string, Latency>>;
  readonly sessionMs: number | null;
  /** The first inference after loading. */
  readonly firstMs?: number;
  /** By provider: why it does not work there. */
  readonly failures?: Readonly<Record<string, string>>;
  readonly throughput?: Readonly<Record<string, readonly Throughput[]>>;
  /** By provider: operators by time, the most expensive first. */
  readonly profile?: Readonly<Record<string, readonly OpTime[]>>;
  readonly peakRssBytes: number | null;
  readonly audit: Audit | null;
  /** Layers of this file against those of base. */
  readonly layers?: readonly LayerError[];
  /** By provider: the same file there, against its outputs on the CPU. */
  readonly runtimes?: Readonly<Record<string, RuntimeAgreement>>;
  /** By provider that was asked for: where the nodes ran. */
  readonly placement?: Readonly<Record<string, Placement>>;
  readonly verdict: 'recommended' | 'accepted' | 'rejected';
  readonly reasons: readonly string[];
}

export interface Recommendation {
  readonly target: string;
  readonly provider: string;
  readonly variant: string;
  readonly because: readonly string[];
}

export interface BundleResult {
  readonly target: string;
  /** Relative to the report. */
  readonly dir: string;
  readonly variant: string;
  readonly bytes: number;
  readonly files: number;
}
