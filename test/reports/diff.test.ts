import { describe, expect, it } from 'vitest';
import { diffHtml } from '../../reports/diff/html.ts';
import { diffMarkdown } from '../../reports/diff/markdown.ts';
import { diffReports, type VariantDiff } from '../../src/report/diff/diff.ts';
import type { DiffCall } from '../../src/report/diff/row.ts';
import { diffSentences } from '../../src/report/diff/words.ts';
import type { Report, VariantResult } from '../../src/report/report.ts';
import { hostileName, sampleReport } from './sample.ts';
import { rightScores } from './sample-evidence.ts';

const int8 = sampleReport.variants.find(({ name }) => name === 'int8') as VariantResult;

function change(part: Partial<VariantResult>, report: Report = sampleReport): Report {
  return { ...report, variants: report.variants.map((one) => (one.name === 'int8' ? { ...one, ...part } : one)) };
}

const variant = (after: Report, before: Report = sampleReport): VariantDiff =>
  diffReports(before, after).variants.find(({ name }) => name === 'int8')!;

const call = (measure: string, after: Report, before?: Report): DiffCall | undefined =>
  variant(after, before).rows.find((row) => row.measure === measure)?.call;

describe('diff of two reports', () => {
  it('says that the same report twice is the same', () => {
    const diff = diffReports(sampleReport, structuredClone(sampleReport));
    expect(diff.differences).toEqual([]);
    expect(diff.variants.map(({ name }) => name)).toEqual(sampleReport.variants.map(({ name }) => name));
    const calls = new Set(diff.variants.flatMap(({ rows }) => rows.map((row) => row.call)));
    expect([...calls].sort()).toEqual(['noise', 'same']);
    expect(variant(sampleReport)).toMatchObject({ in: 'both', sameFile: true });
    expect(diffSentences(diff)).toEqual([
      'Still recommended: int8 for server and browser.',
      'Of int8, nothing can be told to be better or worse.',
    ]);
  });

  it('tells sizes and counts exactly, in their direction', () => {
    expect(call('file', change({ bytes: int8.bytes! - 1 }))).toBe('better');
    expect(call('download', change({ compressedBytes: int8.compressedBytes! + 1 }))).toBe('worse');
    const audit = { ...int8.audit!, quantizedNodes: 7, leftoverQdq: 2 };
    expect(call('nodes on integers', change({ audit }))).toBe('worse');
    expect(call('leftover Q/DQ', change({ audit }))).toBe('better');
  });

  it('calls latency by the interval of both runs, each beside its base', () => {
    const timed = (ratioToBase: number, half: number): Report => {
      const cpu = { ...int8.latency.cpu!, ratioToBase, ratioCi: [ratioToBase - half, ratioToBase + half] as const };
      return change({ latency: { ...int8.latency, cpu } });
    };
    // 0.465 ± 0.014 before.
    expect(call('latency, cpu', timed(0.6, 0.01))).toBe('worse');
    expect(call('latency, cpu', timed(0.35, 0.01))).toBe('better');
    expect(call('latency, cpu', timed(0.48, 0.01))).toBe('noise');
    expect(call('latency, web-wasm', timed(0.6, 0.01))).toBe('noise');
  });

  it('compares no times and no memory of two machines', () => {
    const elsewhere = { ...change({ peakRssBytes: 5 }), host: { ...sampleReport.host, cpu: 'Another' } };
    expect(call('latency, cpu', elsewhere)).toBe('machine');
    expect(call('memory at its peak', elsewhere)).toBe('machine');
    expect(call('file', elsewhere)).toBe('same');
    const { differences } = diffReports(sampleReport, elsewhere);
    expect(differences).toEqual([
      'another machine: AMD EPYC 7B13 64-Core Processor before, Another after; times and memory are not compared',
    ]);
  });

  it('takes a tenth of memory and start-up for noise', () => {
    expect(call('memory at its peak', change({ peakRssBytes: int8.peakRssBytes! * 1.08 }))).toBe('noise');
    const other = { sha256: 'd'.repeat(64) };
    expect(call('memory at its peak', change({ ...other, peakRssBytes: int8.peakRssBytes! * 1.2 }))).toBe('worse');
    const half = change({ ...other, sessionMs: int8.sessionMs! / 2 });
    expect(call('time to load', half)).toBe('better');
    // The same bytes cannot have got slower; nor does it say much where base drifted as far.
    expect(call('memory at its peak', change({ peakRssBytes: int8.peakRssBytes! * 1.2 }))).toBe('noise');
    const drifted = half.variants.map((one) => (one.name === 'base' ? { ...one, sessionMs: one.sessionMs! / 2 } : one));
    expect(call('time to load', { ...half, variants: drifted })).toBe('noise');
  });

  it('judges accuracy sample by sample where both runs carry scores', () => {
    const wrong = (list: number[]): Report =>
      change({ accuracy: { ...int8.accuracy!, value: 1 - list.length / 500, scores: rightScores(500, list) } });
    const now = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14];
    expect(call('top1', wrong([...now, 20, 21, 22, 23, 24, 25, 26, 27, 28]))).toBe('worse');
    expect(call('top1', wrong([...now, 20]))).toBe('noise');
    expect(call('top1', wrong([]))).toBe('better');
    const { scores: _, ...plain } = int8.accuracy!;
    expect(call('top1', change({ accuracy: { ...plain, value: 0.9 } }))).toBe('unclear');
  });

  it('says what is recommended now, and which variants only one run has', () => {
    const after: Report = {
      ...sampleReport,
      variants: sampleReport.variants.filter(({ name }) => name !== 'pruned-2-4'),
      recommendations: sampleReport.recommendations.map((one) =>
        one.target === 'server' ? { ...one, variant: 'fp32' } : one,
      ),
    };
    const diff = diffReports(sampleReport, after);
    expect(diff.variants.find(({ name }) => name === 'pruned-2-4')).toMatchObject({ in: 'before', rows: [] });
    expect(diffSentences(diff)[0]).toBe('For server, fp32 is recommended instead of int8.');
    expect(diffSentences(diff)[1]).toBe('Still recommended: int8 for browser.');
  });

  it('renders Markdown and HTML in which names stay text', () => {
    const rename = (report: Report): Report => ({
      ...change({ name: hostileName }, report),
      recommendations: report.recommendations.map((one) => ({ ...one, variant: hostileName })),
    });
    const diff = diffReports(rename(sampleReport), rename(change({ bytes: 1 })));
    const md = diffMarkdown(diff);
    expect(md).not.toMatch(/^<\/?script/m);
    expect(md).toMatch(/\| file \| 179 kB \| 1 B \| ×0\.00000559 \| 🟢 better \|/);
    const page = diffHtml(diff, '1.2.3');
    expect(page.match(/<script/g)).toHaveLength(1);
    expect(page).not.toMatch(/<img|undefined|NaN|\[object/);
    expect(page).toContain('<span class="call call-better">better</span>');
  });
});
