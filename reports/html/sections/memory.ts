import { formatMs } from '../../../src/messages.ts';
import { baseOf, ratio } from '../../../src/report/facts.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import { formatPart, formatSize } from '../../../src/report/words.ts';
import { type Bar, barList } from '../charts/bars.ts';
import { type Html, html } from '../escape.ts';
import { kindOf, type Section } from '../parts.ts';

interface Measure {
  readonly title: string;
  readonly label: string;
  readonly of: (variant: VariantResult) => number | null | undefined;
  readonly format: (value: number) => string;
}

const measures: readonly Measure[] = [
  {
    title: 'Memory at its peak, of base',
    label: 'Highest memory of a process that loads and runs each variant, relative to base',
    of: (variant) => variant.peakRssBytes,
    format: formatSize,
  },
  {
    title: 'Time to load, of base',
    label: 'Time to load each variant, relative to base',
    of: (variant) => variant.sessionMs,
    format: formatMs,
  },
  {
    title: 'First inference, of base',
    label: 'Time of the first inference of each variant, relative to base',
    of: (variant) => variant.firstMs,
    format: formatMs,
  },
];

export function memory(report: Report): Section | undefined {
  const figures = measures.flatMap((measure) => barsOf(report, measure) ?? []);
  if (figures.length === 0) return undefined;
  return {
    id: 'memory',
    title: 'Memory and start-up',
    lede: 'Each variant alone in a fresh process, once: the runtime itself takes most of the memory of a small model, and times of a single start vary by a tenth or more.',
    body: html`<div class="charts">${figures}</div>`,
  };
}

function barsOf(report: Report, { title, label, of, format }: Measure): Html | undefined {
  const base = baseOf(report);
  if (!base || typeof of(base) !== 'number') return undefined;
  const bars = report.variants.flatMap((variant): Bar[] => {
    const value = of(variant);
    if (value === null || value === undefined) return [];
    const part = ratio(value, of(base));
    return [{ name: variant.name, kind: kindOf(variant), ratio: part, value: formatPart(part), detail: format(value) }];
  });
  return bars.length > 0 ? html`<figure><figcaption>${title}</figcaption>${barList(label, bars)}</figure>` : undefined;
}
