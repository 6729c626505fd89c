import { prepare } from '../../../passes/presets.ts';
import type { FormatName } from '../../../passes/quantize/mixed/formats.ts';
import { measureSensitivity } from '../../../passes/quantize/mixed/sensitivity.ts';
import { quantizeStatic } from '../../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { UserError } from '../../errors.ts';
import { cloneModel } from '../../ir/clone.ts';
import type { Model } from '../../ir/graph.ts';
import type { LayerFindings, MakeJudge } from '../../pass/judge.ts';
import type { PassContext } from '../../pass/pass.ts';
import { runSteps } from '../../pass/pipeline.ts';
import { resolveOptions } from '../../pass/resolve-options.ts';
import type { Report, VariantResult } from '../../report/report.ts';
import type { Talk } from '../talk.ts';

/**
 * Samples that a layer's loss is taken on, and those of layers whose ranks these leave to chance. Beside the ranking on 512 (MobileNet: 150) samples, 16 alone have
 * Kendall's tau 0.81 on ResNet-20 and 0.79 on MobileNet v1 0.5, where the layer on top is another one; looking again at the close ones on 64: 0.83 and
 * 0.92, the same layer on top. (64 and 256, as `mlpack sensitivity` and mixes have it, 0.89 and 0.99, in twice the time.)
 */
const samples = 16;
const closeSamples = 64;
/**
 * What the ranking may take: it explains, and nothing is chosen by it. Enough for all layers of the embedded models and of each shared CNN
 * (docs/report.md); of a larger model the layers with most weights come first, and the report says how many were left.
 */
const budgetMs = 10_000;

/** Formats by the pass that makes them. */
const formatsOf: Readonly<Record<string, FormatName>> = {
  'quantize-static': 'int8',
  'quantize-dynamic': 'int8-dynamic',
  'quantize-weights': 'int4',
  'to-fp16': 'fp16',
};

/** Of the recommended variants, the first that changed precision; else the first of `formatsOf` that was built. */
function formatToRank(variants: readonly VariantResult[]): FormatName | undefined {
  const formats = (some: readonly VariantResult[]): FormatName[] =>
    some.flatMap(({ steps }) => steps.flatMap(({ pass, changed }) => (changed ? (formatsOf[pass] ?? []) : [])));
  const [recommended] = formats(variants.filter(({ verdict }) => verdict === 'recommended'));
  if (recommended) return recommended;
  const built = new Set(formats(variants));
  return Object.values(formatsOf).find((format) => built.has(format));
}

interface Context {
  readonly base: Model;
  readonly judge: MakeJudge;
  readonly passes: Omit<PassContext, 'applied' | 'skipped'>;
  readonly talk: Talk;
}

/** Which layers bear the format that matters here, measured as `mlpack sensitivity` does, within the budget. Undefined where nothing was quantized. */
export async function findSensitivity(
  variants: readonly VariantResult[],
  { base, judge: makeJudge, passes, talk }: Context,
): Promise<LayerFindings | undefined> {
  const format = formatToRank(variants);
  if (format === undefined) return undefined;
  const model = cloneModel(base);
  const silent = { ...passes, progress: (what: string) => talk.progress('sensitivity', what) };
  try {
    await runSteps(model, prepare, { context: silent });
    const judge = await makeJudge(model);
    try {
      const { calibrate, cpu } = resolveOptions(quantizeStatic, {});
      const { block, method } = resolveOptions(quantizeWeights, {});
      const found = await measureSensitivity(
        model,
        judge,
        { formats: [format], calibrate, cpu, block, method, samples, closeSamples, timed: false, budgetMs },
        { ...silent, applied: () => undefined, skipped: () => undefined },
      );
      return { ...found, source: judge.source };
    } finally {
      await judge.dispose();
    }
  } catch (error) {
    passes.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    talk.warn(`the sensitivity of layers was not measured: ${error.message}`);
    return undefined;
  }
}

/** Which figures rest on more samples than the others. */
function closeCalls({ layers, samples }: LayerFindings, format: string): string {
  const more = layers.flatMap(({ formats }) =>
    formats.flatMap((one) => (one.format === format && (one.samples ?? 0) > samples ? [one.samples] : [])),
  );
  return more.length > 0 ? `; ${more.length} layers too close to rank were measured on ${more[0]} samples` : '';
}

/**
 * What was measured, in the report's form: one entry for each format and model that it was measured of, with the layers that a mix left in float and why.
 * @param found by the searches for mixes, by their variant
 * @param ranked the ranking of base's layers, where no search measured any
 */
export function sensitivityOf(
  found: ReadonlyMap<string, LayerFindings>,
  ranked: LayerFindings | undefined,
  variants: readonly Pick<VariantResult, 'name' | 'steps'>[],
): Report['sensitivity'] {
  const all = [
    ...[...found].map(([mix, findings]) =>
      entriesOf(findings, keptBy(variants.filter(({ name }) => name === mix)), `, in the search of ${mix}`),
    ),
    ...(ranked ? [entriesOf(ranked, keptBy(variants), '')] : []),
  ].flat();
  return all.length > 0 ? all : undefined;
}

/** Layers that mixes left in float, with the reason. */
function keptBy(variants: readonly Pick<VariantResult, 'steps'>[]): Map<string, string> {
  const kept = new Map<string, string>();
  for (const { pass, skipped } of variants.flatMap(({ steps }) => steps))
    if (pass === 'mixed-precision')
      for (const { rule, node, why } of skipped) if (rule === 'float') kept.set(node, why);
  return kept;
}

function entriesOf(
  findings: LayerFindings,
  kept: ReadonlyMap<string, string>,
  where: string,
): NonNullable<Report['sensitivity']>[number][] {
  const formats = [...new Set(findings.layers.flatMap((layer) => layer.formats.map(({ format }) => format)))];
  const inputs = findings.source === 'synthetic' ? ', on made-up inputs' : '';
  return formats.map((format) => ({
    scheme: format,
    measure: `noise at the outputs, in % of the signal, when this layer alone is changed${where}${inputs}${closeCalls(findings, format)}`,
    samples: findings.samples,
    ...(findings.unmeasured.length > 0 && { unmeasured: [...findings.unmeasured] }),
    layers: findings.layers.flatMap(({ label, op, bytes, timeShare, formats: own }) => {
      const loss = own.find((one) => one.format === format);
      if (!loss) return [];
      const why = kept.get(`${op} "${label}"`);
      return [
        {
          node: label,
          op,
          loss: Number.isFinite(loss.noise) ? 100 * loss.noise : null,
          bytes,
          ...(timeShare !== undefined && { timeShare }),
          ...(why !== undefined && { kept: why }),
        },
      ];
    }),
  }));
}
