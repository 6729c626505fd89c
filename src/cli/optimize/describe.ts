/** What a run tells of itself in its report. */
import { isAbsolute, relative } from 'node:path';
import type { Dataset } from '../../data/dataset.ts';
import type { Evaluation } from '../../engine/evaluate.ts';
import { bug } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import { modelStats } from '../../ir/stats.ts';
import type { DataInfo, Report, VariantResult } from '../../report/report.ts';
import { artifactFiles } from '../artifact.ts';
import type { ModelSource } from '../model-source.ts';
import type { Settings } from './settings.ts';

/** The model as the report names it. */
export async function describeInput(
  source: ModelSource,
  model: Model,
  cwd: string,
): Promise<Omit<Report['input'], 'inputs' | 'outputs'>> {
  const stats = modelStats(model);
  const files = await artifactFiles(source.file, model);
  const [file = bug('a model without a file'), ...external] = files;
  return {
    // A config gives an absolute path; below the working folder the relative one is what CI can point at.
    path: isAbsolute(source.shown) ? shownPath(source.shown, cwd) : source.shown,
    sha256: file.sha256,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(external.length > 0 && { externalData: external.map(({ source: _, ...facts }) => facts) }),
    parameters: stats.parameters,
    nodes: stats.nodes,
    irVersion: model.irVersion,
    opsets: Object.fromEntries(model.opsets),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
  };
}

/** The data, or what stands for them. */
export function describeData(dataset: Dataset | undefined, settings: Settings, cwd: string): DataInfo {
  if (!dataset)
    return { path: '', name: 'made-up inputs', samples: 0, calibrationSamples: 0, metric: null, synthetic: true };
  return {
    path: shownPath(dataset.dir, cwd),
    name: dataset.name,
    samples: Math.min(settings.samples ?? dataset.samples, dataset.samples),
    calibrationSamples: dataset.calibrationSamples,
    metric: dataset.metric ?? null,
    synthetic: false,
  };
}

/** Relative where that is the shorter story: below the working folder. */
export function shownPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below;
}

/** Of the run: it fails where base cannot be judged, or a target is left without a variant. */
export function verdictOf(variants: readonly VariantResult[], recommended: number, targets: number): Report['verdict'] {
  const better = variants.filter((one) => one.verdict === 'recommended' && one.name !== 'base');
  const base = variants.find((one) => one.name === 'base');
  if (base?.verdict === 'rejected') return { ok: false, reasons: base.reasons };
  if (recommended < targets) return { ok: false, reasons: ['not every target has a variant that it can take'] };
  if (better.length === 0) return { ok: true, reasons: ['nothing smaller or faster passed: ship the model as it is'] };
  return { ok: true, reasons: better.map((one) => `${one.name}: ${one.reasons.join(', ')}`) };
}

/** Outputs of the model itself that are no numbers: what is held against them says little. */
export function notFinite(
  { nonFinite, nonFiniteSamples, samples }: Evaluation,
  dataset: Dataset | undefined,
): string[] {
  if (nonFinite === 0 || !dataset) return [];
  const names = nonFiniteSamples.map((index) => dataset.sampleName('eval', index)).join(', ');
  return [
    `The model itself gives NaN or infinite outputs on ${nonFinite} of ${samples} samples (${names}${nonFinite > nonFiniteSamples.length ? ', …' : ''}): look at what goes in with mlpack data check`,
  ];
}
