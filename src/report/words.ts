/** Figures and sentences of the report, as people read them. */
import { formatBytes, significant } from '../messages.ts';
import { baseOf, downloadBytes, hasAccuracy, isNoise, isSynthetic, ratio, variantOf } from './facts.ts';
import type { Accuracy, Fidelity, Latency, Recommendation, Report, VariantResult } from './report.ts';

/** What stands where nothing was measured. */
export const none = '–';

const isNumber = (value: number | null | undefined): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** 0.2561 → `26 %`, 0.0042 → `0.4 %`, 0.9974 → `99.7 %`: never rounded to nothing or to a hundred that it is not. */
export function formatPart(part: number | null): string {
  if (!isNumber(part)) return none;
  const percent = part * 100;
  if (percent > 0 && percent < 0.05) return '<0.1 %';
  if (percent !== 100 && Math.abs(percent - 100) < 0.05) return percent < 100 ? '>99.9 %' : '>100 %';
  const nearHundred = percent !== 100 && Math.abs(percent - 100) < 1;
  return `${percent.toFixed(percent < 10 || nearHundred ? 1 : 0).replace('.0', '')} %`;
}

export const formatSize = (bytes: number | null | undefined): string => (isNumber(bytes) ? formatBytes(bytes) : none);

/** Metrics that are a share of samples are shown in percent, others as numbers. */
const isShare = (metric: string): boolean => /^(top\d+|agreement|accuracy|f1)$/i.test(metric);

export function formatMetric(metric: string, value: number | null): string {
  if (!isNumber(value)) return 'no number';
  return isShare(metric) ? `${(100 * value).toFixed(2).replace(/0$/, '')} %` : formatFigure(value);
}

/** Four significant digits, no needless exponent. */
export function formatFigure(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && size < 1e-3 ? significant(value, 3) : String(Number(value.toPrecision(4)));
}

/** `−0.4 points`, `+0.002`, `no change`; positive is an improvement. */
export function formatDrop({ metric, value, drop }: Accuracy): string {
  if (!isNumber(drop)) return 'cannot be compared';
  if (drop === 0) return 'no change';
  const sign = drop > 0 ? '−' : '+';
  const size = Math.abs(drop);
  if (!isShare(metric)) return `${changeOf(size, value)} ${drop > 0 ? 'worse' : 'better'}`;
  const points = (100 * size).toFixed(2).replace(/\.?0+$/, '');
  return `${sign}${points === '0' ? '<0.01' : points} ${points === '1' ? 'point' : 'points'}`;
}

/** A change that the four digits of the metric itself would not show is below their last one: 0.0000045 of 0.1234 is `<0.0001`. */
function changeOf(size: number, value: number | null): string {
  if (!isNumber(value) || value === 0) return formatFigure(size);
  const step = 10 ** (Math.floor(Math.log10(Math.abs(value))) - 3);
  return size < step ? `<${significant(step, 1)}` : formatFigure(size);
}

/** `2.15× as fast`, `1.41× as slow`, `same speed`. */
export function speedWords(latency: Latency): string {
  const { ratioToBase } = latency;
  if (isNoise(latency)) return 'same speed';
  if (ratioToBase <= 0) return 'faster';
  return ratioToBase < 1 ? `${factor(1 / ratioToBase)}× as fast` : `${factor(ratioToBase)}× as slow`;
}

const factor = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/** `0.46 (0.45–0.48)`: ratio to base with its 95 % interval. */
export function ratioWords({ ratioToBase, ratioCi: [low, high] }: Latency): string {
  return `${ratioToBase.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

export function sqnrWords({ sqnrDb }: Pick<Fidelity, 'sqnrDb'>): string {
  if (sqnrDb === null) return 'identical';
  return sqnrDb <= -200 ? 'NaN or infinity' : `${sqnrDb.toFixed(1)} dB`;
}

/** First letter large, a full stop at the end: reasons are written as clauses. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  // Names keep their case: only a first word of plain lower-case letters is a word.
  const first = /^[a-z]+\b(?![\w.:/\\-])/.test(trimmed) ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1) : trimmed;
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** What to do, for the targets that share a variant. */
export interface Headline {
  readonly kind: 'ship' | 'keep';
  readonly variant: string;
  readonly targets: readonly string[];
  /** Providers that decided, each once. */
  readonly providers: readonly string[];
  /** Clauses: size, speed, accuracy. */
  readonly facts: readonly string[];
}

export function headlines(report: Report): Headline[] {
  const grouped = new Map<string, Recommendation[]>();
  for (const one of report.recommendations) grouped.set(one.variant, [...(grouped.get(one.variant) ?? []), one]);
  return [...grouped].map(([variant, recommendations]) => ({
    kind: variant === 'base' ? 'keep' : 'ship',
    variant,
    targets: recommendations.map((one) => one.target),
    providers: [...new Set(recommendations.map((one) => one.provider))],
    facts: variant === 'base' ? [] : shipFacts(report, variant, recommendations),
  }));
}

function shipFacts(report: Report, name: string, recommendations: readonly Recommendation[]): string[] {
  const variant = variantOf(report, name);
  if (!variant) return [];
  const base = baseOf(report);
  const facts: string[] = [];
  const size = ratio(downloadBytes(variant), downloadBytes(base));
  if (size !== null)
    facts.push(size < 1 ? `${formatPart(size)} of the download` : `${formatPart(size)} of the download size`);
  const providers = [...new Set(recommendations.map((one) => one.provider))];
  const timed = providers.filter((provider) => variant.latency[provider] !== undefined);
  for (const provider of timed) {
    const latency = variant.latency[provider];
    if (latency) facts.push(providers.length > 1 ? `${speedWords(latency)} on ${provider}` : speedWords(latency));
  }
  if (timed.length === 0) facts.push('speed not measured');
  facts.push(accuracyFact(report, variant));
  return facts;
}

function accuracyFact(report: Report, variant: VariantResult): string {
  if (!hasAccuracy(variant)) {
    const { fidelity } = variant;
    if (!fidelity) return 'accuracy not measured';
    const outputs = fidelity.sqnrDb === null ? 'outputs identical' : `outputs true to ${sqnrWords(fidelity)}`;
    return isSynthetic(report) ? `${outputs} on made-up inputs` : outputs;
  }
  const { metric, value, drop } = variant.accuracy;
  if (isNumber(drop) && drop <= 0) return `no ${metric} lost`;
  return `${metric} ${formatMetric(metric, value)} (${formatDrop(variant.accuracy)})`;
}

/** `Ship int8 for server and browser` / `Keep the model as it is for server`. */
export function headlineAction({ kind, targets }: Headline, name: string): string {
  const forTargets = targets.length > 0 ? ` for ${listWords(targets)}` : '';
  return kind === 'ship' ? `Ship ${name}${forTargets}` : `Keep the model as it is${forTargets}`;
}

/** `Ship int8 for server: 26 % of the download, 2.15× as fast, no top1 lost.` */
export function headlineSentence(headline: Headline): string {
  const action = headlineAction(headline, headline.variant);
  if (headline.kind === 'keep') return `${action}: nothing smaller or faster passed.`;
  return `${action}: ${headline.facts.join(', ')}.`;
}

/** Targets that were asked for and got nothing. */
export function unservedSentence(report: Report): string | undefined {
  const served = new Set(report.recommendations.map((one) => one.target));
  const missing = report.targets.filter((target) => !served.has(target));
  return missing.length > 0 ? `No variant can be recommended for ${listWords(missing)}.` : undefined;
}

/** How the variants were judged, in a sentence or two. */
export function judgementSentence(report: Report): string {
  const { data, limits } = report;
  if (isSynthetic(report) || !data) {
    const floor = limits.minSqnrDb === undefined ? '' : ` at ${limits.minSqnrDb} dB or better`;
    return `Accuracy was not measured: there was no data, so variants only had to reproduce the original model${floor} on made-up inputs. Give --data to judge them by the task.`;
  }
  const samples = `${data.samples.toLocaleString('en-US')} ${data.samples === 1 ? 'sample' : 'samples'} of ${data.name}`;
  if (!report.variants.some(hasAccuracy))
    return `Judged on ${samples}, without a metric: the outputs are no classes that could agree or not, so variants had to reproduce the original model${limits.minSqnrDb === undefined ? '' : ` at ${limits.minSqnrDb} dB or better`}.`;
  if (data.metric === null)
    return `Judged on ${samples}, without labels: variants had to agree with the original model.`;
  return `Judged by ${data.metric} on ${samples}; a drop of at most ${formatLimit(data.metric, limits.maxDrop)} was allowed.${sampleAdvice(report)}`;
}

/** Where the samples are too few to tell a drop of the limit from chance in a variant that is recommended: how many would do. */
function sampleAdvice({ variants, recommendations }: Report): string {
  const chosen = variants.filter(({ name }) => recommendations.some(({ variant }) => variant === name));
  const needed = Math.max(0, ...chosen.map(({ accuracy }) => accuracy?.neededSamples ?? 0));
  return needed > 0
    ? ` That is few: about ${needed.toLocaleString('en-US')} samples would tell such a drop from chance.`
    : '';
}

export function formatLimit(metric: string | null, maxDrop: number): string {
  if (metric === null || !isShare(metric)) return formatFigure(maxDrop);
  const points = Number((100 * maxDrop).toPrecision(4));
  return `${points} ${points === 1 ? 'point' : 'points'}`;
}

export function listWords(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
