import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { print } from './json.ts';
import { type FileEntry, place } from './model-files.ts';
import { type RuntimeEntry, runtimeOf, splitRuntimeOf } from './runtime-files.ts';
import type { RuntimeForm } from './split-runtime.ts';
import { taskOf } from './task.ts';
import type { WayPlan } from './ways.ts';

interface Variant {
  readonly name: string;
  readonly files: readonly FileEntry[];
  readonly bytes: number;
  /** Session options by provider. */
  readonly sessionOptions: Readonly<Record<string, unknown>>;
  /** What was measured, where the bundle was made from a report. */
  readonly latency: readonly { readonly provider: string; readonly p50Ms: number; readonly ratioToBase: number }[];
  readonly accuracy: { readonly metric: string; readonly value: number | null; readonly base: number | null } | null;
}

/** model.json: what the loader needs to know, beside the loader; and the files that it names. */
export function modelJson(
  artifact: Artifact,
  { ways, assessments, runtimes }: WayPlan,
  limit: number,
  form: RuntimeForm | undefined,
): { text: string; files: BundleFile[] } {
  const all = [artifact, ...(artifact.others ?? [])];
  const files: BundleFile[] = [];
  const variants = all.map((one): Variant => {
    const placed = one.files.map((file) =>
      place(file, all.length === 1 ? file.name : `${one.variant}/${file.name}`, limit),
    );
    files.push(...placed.flatMap((each) => each.files));
    const fold = assessments.get(one.variant)?.foldWeights === true;
    return {
      name: one.variant,
      files: placed.map(({ entry }) => entry),
      bytes: one.files.reduce((sum, { bytes }) => sum + bytes, 0),
      sessionOptions: fold ? { wasm: { extra: { session: { disable_quant_qdq: '1' } } } } : {},
      latency: (one.evidence?.latency ?? []).map(({ provider, p50Ms, ratioToBase }) => ({
        provider,
        p50Ms,
        ratioToBase,
      })),
      accuracy: one.evidence?.accuracy
        ? { metric: one.evidence.accuracy.metric, value: one.evidence.accuracy.value, base: one.evidence.accuracy.base }
        : null,
    };
  });
  const entries: Record<string, RuntimeEntry> = {};
  for (const id of runtimes) {
    const runtime = id === 'wasm' && form && 'rest' in form ? splitRuntimeOf(form) : runtimeOf(id, limit);
    entries[id] = runtime.entry;
    files.push(...runtime.files);
  }
  const text = print({
    schema: 'mlpack.browser-model/2',
    name: artifact.name,
    inputs: artifact.inputs,
    outputs: artifact.outputs,
    labels: artifact.labels ?? null,
    hasClasses: artifact.hasClasses ?? artifact.labels !== undefined,
    license: artifact.license ?? null,
    task: taskOf(artifact) ?? null,
    ways,
    variants,
    runtimes: entries,
  });
  return { text, files };
}
