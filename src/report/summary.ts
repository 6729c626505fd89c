import { formatMs } from '../messages.ts';
import { baseOf, downloadBytes, measuredProviders, ratio } from './facts.ts';
import type { Report, VariantResult } from './report.ts';
import {
  formatMetric,
  formatPart,
  formatSize,
  headlineSentence,
  headlines,
  judgementSentence,
  none,
  sentence,
  unservedSentence,
} from './words.ts';

/** One line of the summary table, as text without colour. */
export interface SummaryRow {
  readonly variant: string;
  readonly size: string;
  /** Of the size of base, in percent. */
  readonly ofBase: string;
  readonly download: string;
  /** Median on the main provider. */
  readonly latency: string;
  /** Median / median of base: below 1 is faster. */
  readonly ratio: string;
  readonly accuracy: string;
  readonly verdict: VariantResult['verdict'];
  /** The first reason, '' where there is none. */
  readonly reason: string;
}

export interface Summary {
  /** Verdict first, then how it was reached. */
  readonly sentences: readonly string[];
  /** Provider of the latency column; undefined where nothing was timed. */
  readonly provider: string | undefined;
  readonly rows: readonly SummaryRow[];
}

/** The report in a screenful: plain data for a terminal, a comment, a log. */
export function summarize(report: Report): Summary {
  const [provider] = measuredProviders(report);
  const base = baseOf(report);
  const unserved = unservedSentence(report);
  return {
    sentences: [
      ...headlines(report).map(headlineSentence),
      ...(unserved === undefined ? [] : [unserved]),
      ...(report.verdict.ok ? [] : report.verdict.reasons.map(sentence)),
      judgementSentence(report),
      ...(report.warnings ?? []).map(sentence),
    ],
    provider,
    rows: report.variants.map((variant) => summaryRow(variant, base, provider)),
  };
}

function summaryRow(variant: VariantResult, base: VariantResult | undefined, provider: string | undefined): SummaryRow {
  const latency = provider === undefined ? undefined : variant.latency[provider];
  const { accuracy } = variant;
  return {
    variant: variant.name,
    size: formatSize(variant.bytes),
    ofBase: formatPart(ratio(variant.bytes, base?.bytes)),
    download: formatSize(downloadBytes(variant)),
    latency: latency ? formatMs(latency.p50) : none,
    ratio: latency ? latency.ratioToBase.toFixed(2) : none,
    accuracy: accuracy ? formatMetric(accuracy.metric, accuracy.value) : none,
    verdict: variant.verdict,
    reason: variant.reasons[0] ?? '',
  };
}
