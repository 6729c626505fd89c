import type { DataInfo, Report, VariantResult } from '../report/report.ts';

/** How the model of a bundle came about and what was measured on it: the part of a report that travels with the bundle. */
export interface Evidence {
  /** The model that the recipe began with. */
  readonly base: { readonly name: string; readonly sha256: string; readonly bytes: number };
  readonly recipe: readonly { readonly pass: string; readonly options: Readonly<Record<string, unknown>> }[];
  readonly seed: number;
  readonly bytes: number;
  readonly parameters: number | null;
  /** What it was judged on; null where inputs were made up. */
  readonly data: { readonly name: string; readonly samples: number; readonly sha256: string | null } | null;
  readonly accuracy: {
    readonly metric: string;
    readonly value: number | null;
    readonly base: number | null;
    readonly dropCi: readonly [number, number] | null;
  } | null;
  /** Against the base model on the same inputs. */
  readonly fidelity: {
    readonly sqnrDb: number | null;
    readonly agreement: number | null;
    readonly samples: number;
  } | null;
  /** Times of the report that the bundle was made from; `optimize` leaves them to the report, so that its bundles are the same every time. */
  readonly latency: readonly {
    readonly provider: string;
    readonly p50Ms: number;
    readonly ratioToBase: number;
    readonly ratioCi: readonly [number, number];
  }[];
  /** Where the times were taken. */
  readonly machine: string | null;
}

/** What a run knows when it bundles. */
interface RunFacts {
  readonly input: Report['input'];
  readonly seed: number;
  readonly data: DataInfo | undefined;
}

/** `models/digits/model.onnx` → `digits`, a hub id as it is. */
function baseName(path: string): string {
  if (/^[\w.-]+\/[\w.-]+$/.test(path) && !path.endsWith('.onnx')) return path;
  const parts = path.split('/').filter((part) => part !== '');
  const file = (parts.at(-1) ?? path).replace(/\.onnx$/, '');
  return file === 'model' && parts.length > 1 ? (parts.at(-2) ?? file) : file;
}

/** Evidence without times. */
export function evidenceOf(
  { input, seed, data }: RunFacts,
  variant: Omit<VariantResult, 'verdict' | 'reasons'>,
): Evidence {
  const { accuracy, fidelity } = variant;
  return {
    base: { name: baseName(input.path), sha256: input.sha256, bytes: input.bytes },
    recipe: variant.steps.map(({ pass, options }) => ({ pass, options })),
    seed,
    bytes: variant.bytes ?? 0,
    parameters: variant.parameters,
    data:
      data && !data.synthetic
        ? {
            name: data.name,
            samples: accuracy?.samples ?? fidelity?.samples ?? data.samples,
            sha256: data.sha256 ?? null,
          }
        : null,
    accuracy: accuracy && {
      metric: accuracy.metric,
      value: accuracy.value,
      base: accuracy.base,
      dropCi: accuracy.dropCi ?? null,
    },
    fidelity: fidelity && { sqnrDb: fidelity.sqnrDb, agreement: fidelity.agreement, samples: fidelity.samples },
    latency: [],
    machine: null,
  };
}

/** Times of a variant, provider by provider. */
export function timesOf({ latency }: Pick<VariantResult, 'latency'>): Evidence['latency'] {
  return Object.entries(latency)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([provider, { p50, ratioToBase, ratioCi }]) => ({ provider, p50Ms: p50, ratioToBase, ratioCi }));
}

/** Evidence with times, of the variant in a report whose file is the one that is bundled; undefined where there is none. */
export function evidenceFrom(report: Report, sha256: string): Evidence | undefined {
  const variant = report.variants.find((one) => one.sha256 === sha256);
  if (!variant) return undefined;
  const latency = timesOf(variant);
  const { cpu, cores, ort } = report.host;
  return {
    ...evidenceOf({ input: report.input, seed: report.seed, data: report.data }, variant),
    latency,
    machine: latency.length > 0 ? `${cpu}, ${cores} cores, ONNX Runtime ${ort}` : null,
  };
}
