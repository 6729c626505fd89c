import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createBudget, shorten } from '../../reports/html/budget.ts';
import { escapeText, html as template } from '../../reports/html/escape.ts';
import { html } from '../../reports/html.ts';
import type { Report } from '../../src/report/report.ts';
import { hostileName, keepReport, sampleReport, syntheticReport } from './sample.ts';

const page = html.render(sampleReport);

describe('escape', () => {
  it('escapes text, shows what hides, leaves finished HTML alone', () => {
    expect(escapeText(`<a href="x" b='y'>&`)).toBe('&lt;a href=&quot;x&quot; b=&#39;y&#39;&gt;&amp;');
    expect(escapeText('a\u202Eb\u0000c\uD800d\ne')).toBe('a\uFFFDb\uFFFDc\uFFFDd\ne');
    expect(escapeText('日本 😀 é')).toBe('日本 😀 é');
    expect(template`<p>${'<'}${template`<b>${1}</b>`}${[template`<i></i>`, '&']}${false}${undefined}</p>`.text).toBe(
      '<p>&lt;<b>1</b><i></i>&amp;</p>',
    );
  });

  it('shortens in the middle', () => {
    expect(shorten('abcdefghij', 5)).toBe('ab…ij');
    expect(shorten('abc', 3)).toBe('abc');
  });

  it('takes no more than the budget', () => {
    const budget = createBudget(350);
    expect(['a', 'b', '<'.repeat(30), 'c', 'd'].map((text) => budget.fits(text))).toEqual([
      true,
      true,
      false,
      true,
      false,
    ]);
  });
});

describe('html', () => {
  it('writes a gain beside what was lost with a minus sign', () => {
    const better = structuredClone(sampleReport);
    for (const { accuracy } of better.variants)
      if (accuracy) Object.assign(accuracy, { metric: 'top1', drop: -0.02, dropCi: [-0.03, -0.01] });
    const ticks = [...html.render(better).matchAll(/class="tick"[^>]*>([^<]* pt)</g)].map(([, text]) => text);
    expect(ticks).toContain('−1 pt');
    expect(ticks.join()).not.toContain('-');
  });

  it('gives the same bytes for the same report', () => {
    expect(html.render(structuredClone(sampleReport))).toBe(page);
  });

  it.each([
    ['sample', sampleReport],
    ['synthetic', syntheticReport],
    ['keep', keepReport],
  ])('lets no text out of the report become markup: %s', (_, report) => {
    const text = html.render(report);
    expect(text.match(/<script/g)).toHaveLength(1);
    expect(text).not.toContain('<img');
    expect(text).toContain('&lt;img src=x onerror=alert(2)&gt;');
    expect(text).not.toMatch(/undefined|NaN|\[object/);
  });

  it('loads nothing, and allows only its own style and script', () => {
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? '';
    expect(policy).toContain("default-src 'none'");
    for (const tag of ['style', 'script']) {
      const content = new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`).exec(page)?.[1] ?? '';
      expect(policy).toContain(`${tag}-src 'sha256-${createHash('sha256').update(content).digest('base64')}'`);
    }
    expect(page).not.toMatch(/\b(src|href)="(?!#|data:)/);
    expect(page).not.toMatch(/url\(|@import|style="/);
    expect(page.replaceAll('http%3A%2F%2Fwww.w3.org', '')).not.toMatch(/https?:\/\//);
  });

  it('tells every variant, every reason for a rejection, every skipped rule once', () => {
    const plain = page.replaceAll(/<[^>]+>/g, '');
    for (const one of sampleReport.variants.filter((variant) => variant.verdict === 'rejected')) {
      for (const reason of one.reasons) expect(plain.toLowerCase()).toContain(escapeText(reason).toLowerCase());
    }
    const why = 'ConvInteger is slower than float Conv on the CPU provider, so Conv keeps its weights.';
    expect(plain.split(why)).toHaveLength(2);
    expect(plain).toContain('×14');
    expect(plain).toContain('/features/13/conv/Conv');
    expect(plain).toContain(escapeText(hostileName));
    // Steps that variants share are told where they come first.
    expect(plain.split('constant-fold ×2')).toHaveLength(2);
    expect(page).toContain('as in <bdi class="vname">fp32</bdi>');
  });

  it('is loud about made-up data, and only then', () => {
    expect(html.render(syntheticReport)).toContain('No data: accuracy is unknown.');
    expect(html.render({ ...sampleReport, data: undefined })).toContain('No data: accuracy is unknown.');
    expect(page).not.toContain('No data');
  });

  it('draws no bars of a metric below zero', () => {
    const below = { metric: 'r2', value: -0.4, base: -0.2, drop: 0.2, samples: 500 };
    const variants = sampleReport.variants.map((one) => ({
      ...one,
      accuracy: one.accuracy && { ...one.accuracy, ...below },
    }));
    expect(html.render({ ...sampleReport, variants })).not.toMatch(/(width|x|height)="(-|NaN|-?Infinity)[^"]*%"/);
  });

  it('says so when the checks did not pass', () => {
    const failed = {
      ...sampleReport,
      recommendations: [],
      bundles: [],
      verdict: { ok: false, reasons: ['int8 is below the floor'] },
    };
    const text = html.render(failed);
    expect(text).toContain('No variant can be recommended for server and browser.');
    expect(text).toContain('The checks did not pass.');
    expect(text).toContain('int8 is below the floor.');
    expect(text).not.toContain('id="bundles"');
  });

  it('takes a report with nothing in it', () => {
    const empty: Report = {
      ...sampleReport,
      variants: [],
      bundles: [],
      recommendations: [],
      targets: [],
      createdAt: 'some day',
    };
    expect(html.render(empty)).toContain('some day');
  });

  it('is small and quick for 40 variants with 10,000 reasons each of which is another', { timeout: 30_000 }, () => {
    const [base, , , int8] = sampleReport.variants;
    const variants = Array.from({ length: 40 }, (_, at) => {
      const skipped = Array.from({ length: 250 }, (_, index) => ({
        rule: 'conv-add',
        node: `/layer${at}/block${index}/Conv`,
        why: `its output is read by ${index + 2} nodes of branch ${at}`,
      }));
      return { ...int8!, name: `v${at}`, steps: [{ ...int8!.steps[2]!, skipped }] };
    });
    const started = performance.now();
    const text = html.render({ ...sampleReport, variants: [base!, ...variants], recommendations: [], bundles: [] });
    // 0.3 s here, quiet.
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(Buffer.byteLength(text)).toBeLessThan(2_000_000);
  });

  it('stays below 2 MB whatever the model', { timeout: 30_000 }, () => {
    const name = (index: number): string => `/${'<very&long"scope>/'.repeat(40)}${index}`;
    const [base, , , int8] = sampleReport.variants;
    const skipped = Array.from({ length: 2500 }, (_, index) => ({
      rule: `rule-${index % 7}`,
      node: name(index),
      why: index % 2 === 0 ? `weight ${name(index)} is shared` : 'the same for many',
    }));
    const step = { ...int8!.steps[2]!, skipped };
    const findings = skipped.slice(0, 2000).map(({ node, why }) => ({ node, why, op: 'Conv' }));
    const variants = Array.from({ length: 30 }, (_, index) => ({
      ...int8!,
      name: `v${index}-${name(index)}`,
      reasons: skipped.slice(0, 4).map((one) => one.why),
      ops: Object.fromEntries(skipped.slice(0, 2000).map((_, at) => [`op${at}`, at])),
      steps: Array.from({ length: 3 }, (_, at) => ({ ...step, pass: `p${index}-${at}` })),
      audit: { ...int8!.audit!, findings },
      layers: skipped.slice(0, 2000).map(({ node }) => ({ node, op: 'Conv', sqnrDb: 30 })),
      accuracy: {
        ...int8!.accuracy!,
        classes: skipped.slice(0, 1000).map(({ node }) => ({ name: node, samples: 9, base: 1, value: 0.5 })),
      },
    }));
    const io = Array.from({ length: 2000 }, (_, index) => ({
      name: name(index),
      dtype: 'float32',
      shape: Array.from({ length: 30 }, () => 'n'.repeat(300)),
    }));
    const huge: Report = {
      ...sampleReport,
      command: `mlpack ${name(1).repeat(500)}`,
      variants: [base!, ...variants],
      input: { ...sampleReport.input, inputs: io },
      recommendations: [],
      bundles: [],
    };
    const started = performance.now();
    const text = html.render(huge);
    expect(Buffer.byteLength(text)).toBeLessThan(2_000_000);
    expect(text).toContain('in <code>report.json</code>');
    expect(performance.now() - started).toBeLessThan(15_000);
  });
});
