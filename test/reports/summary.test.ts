import { describe, expect, it } from 'vitest';
import type { Accuracy, Latency } from '../../src/report/report.ts';
import { summarize } from '../../src/report/summary.ts';
import {
  formatDrop,
  formatFigure,
  formatMetric,
  formatPart,
  headlineSentence,
  headlines,
  sentence,
  speedWords,
  sqnrWords,
} from '../../src/report/words.ts';
import { keepReport, sampleReport, syntheticReport } from './sample.ts';

const latency = (ratioToBase: number, ratioCi: [number, number]): Latency => ({
  p50: 1,
  p90: 1,
  p99: 1,
  samples: 9,
  ratioToBase,
  ratioCi,
});
const accuracy = (metric: string, drop: number | null): Accuracy => ({
  metric,
  value: 0.5,
  base: 0.5,
  drop,
  samples: 10,
});

describe('summarize', () => {
  it('says the verdict first, then how it was reached', () => {
    expect(summarize(sampleReport).sentences).toEqual([
      'Ship int8 for server and browser: 25 % of the download, 2.15× as fast on cpu, 2.10× as fast on web-wasm, top1 97.2 % (−0.2 points).',
      'Judged by top1 on 500 samples of digits; a drop of at most 1 point was allowed. That is few: about 785 samples would tell such a drop from chance.',
      'fp16 varied by 12 % between rounds on web-wasm: another program may have been busy.',
    ]);
  });

  it('says it when accuracy was not measured', () => {
    const [verdict, judged] = summarize(syntheticReport).sentences;
    expect(verdict).toBe(
      'Ship int8 for server: 25 % of the download, 2.15× as fast, outputs true to 34.8 dB on made-up inputs.',
    );
    expect(judged).toBe(
      'Accuracy was not measured: there was no data, so variants only had to reproduce the original model at 30 dB or better on made-up inputs. Give --data to judge them by the task.',
    );
  });

  it('says it when nothing is better', () => {
    const { sentences, provider, rows } = summarize(keepReport);
    expect(sentences[0]).toBe('Keep the model as it is for server: nothing smaller or faster passed.');
    expect(provider).toBeUndefined();
    expect(rows[1]).toMatchObject({ latency: '–', ratio: '–', accuracy: '–' });
  });

  it('names targets that got nothing, and why the checks failed', () => {
    const { sentences } = summarize({
      ...sampleReport,
      recommendations: [],
      verdict: { ok: false, reasons: ['the base model does not load'] },
    });
    expect(sentences.slice(0, 2)).toEqual([
      'No variant can be recommended for server and browser.',
      'The base model does not load.',
    ]);
  });

  it('tells different variants for different targets apart', () => {
    const [server, browser] = sampleReport.recommendations;
    const report = { ...sampleReport, recommendations: [server!, { ...browser!, variant: 'fp32' }] };
    expect(headlines(report).map(headlineSentence)).toEqual([
      'Ship int8 for server: 25 % of the download, 2.15× as fast, top1 97.2 % (−0.2 points).',
      'Ship fp32 for browser: 99 % of the download, 1.10× as fast, no top1 lost.',
    ]);
  });

  it('gives a row for each variant', () => {
    const { rows, provider } = summarize(sampleReport);
    expect(provider).toBe('cpu');
    expect(rows[3]).toEqual({
      variant: 'int8',
      size: '179 kB',
      ofBase: '26 %',
      download: '151 kB',
      latency: '565 µs',
      ratio: '0.47',
      accuracy: '97.2 %',
      verdict: 'recommended',
      reason: '26 % of the size',
    });
    expect(rows[6]).toMatchObject({ size: '–', ofBase: '–', download: '–', latency: '–', verdict: 'rejected' });
  });
});

describe('words', () => {
  it('never rounds to a hundred percent or to zero what is neither', () => {
    expect([1, 0.9974, 1.004, 1.0096, 0.256, 0.0042, 0.05, 4, 0.9997, 1.0003, 0.0001, 0].map(formatPart)).toEqual([
      '100 %',
      '99.7 %',
      '100.4 %',
      '101 %',
      '26 %',
      '0.4 %',
      '5 %',
      '400 %',
      '>99.9 %',
      '>100 %',
      '<0.1 %',
      '0 %',
    ]);
    expect(formatDrop(accuracy('top1', 0.00001))).toBe('−<0.01 points');
  });

  it('speaks of noise as same speed', () => {
    expect(speedWords(latency(0.98, [0.95, 1.01]))).toBe('same speed');
    expect(speedWords(latency(0.5, [0.49, 0.51]))).toBe('2.00× as fast');
    expect(speedWords(latency(12.34, [12, 13]))).toBe('12.3× as slow');
  });

  it('shows shares in points and other metrics as numbers', () => {
    expect(formatDrop(accuracy('top5', -0.01))).toBe('+1 point');
    expect(formatDrop(accuracy('top1', 0))).toBe('no change');
    expect(formatDrop(accuracy('rmse', 0.0123))).toBe('0.0123 worse');
    expect(formatDrop(accuracy('psnr', -1.5))).toBe('1.5 better');
    expect(formatDrop(accuracy('mae', null))).toBe('cannot be compared');
    expect(formatDrop({ ...accuracy('rmse', -0.0000045), value: 0.1234 })).toBe('<0.0001 better');
    expect(formatDrop({ ...accuracy('rmse', 0.0000045), value: 0.00021 })).toBe('0.00000450 worse');
    expect(formatMetric('top1', 0.9425)).toBe('94.25 %');
    expect(formatMetric('psnr', 31.25719)).toBe('31.26');
    expect(formatMetric('mae', null)).toBe('no number');
    expect(formatMetric('mae', Number.NaN)).toBe('no number');
    expect([0, 0.00012345, 12345678].map(formatFigure)).toEqual(['0', '0.000123', '12350000']);
  });

  it('tells identical from infinite error', () => {
    const fidelity = { cosine: 1, maxAbs: 0, samples: 1, agreement: null };
    expect(sqnrWords({ ...fidelity, sqnrDb: null })).toBe('identical');
    expect(sqnrWords({ ...fidelity, sqnrDb: -200 })).toBe('NaN or infinity');
  });

  it('makes sentences of clauses and leaves names alone', () => {
    expect(sentence('slower than base on cpu')).toBe('Slower than base on cpu.');
    expect(sentence('top1 falls')).toBe('top1 falls.');
    expect(sentence('com.example:MyOp is unknown')).toBe('com.example:MyOp is unknown.');
    expect(sentence('Ends already!')).toBe('Ends already!');
    expect(sentence(' ')).toBe('');
  });
});
