import { describe, expect, it } from 'vitest';
import { markdown } from '../../reports/markdown.ts';
import type { Report } from '../../src/report/report.ts';
import { keepReport, sampleReport, syntheticReport } from './sample.ts';

const withNames = (name: string, reason: string): Report => ({
  ...sampleReport,
  variants: sampleReport.variants.map((one) => (one.name === 'int4' ? { ...one, name, reasons: [reason] } : one)),
});

describe('markdown', () => {
  it('has the verdict as its heading, a row for each variant, every reason', () => {
    const text = markdown.render(sampleReport);
    const lines = text.split('\n');
    expect(lines[0]).toBe(
      '## mlpack: Ship int8 for server and browser: 25 % of the download, 2.15× as fast on cpu, 2.10× as fast on web-wasm, top1 97.2 % (−0.2 points).',
    );
    expect(text).toContain(
      '| `int8` | 179 kB | 151 kB | 25 % | 565 µs | 0.47 (0.45–0.48) | 97.2 % (−0.2 points) | **recommended** |',
    );
    expect(text).toContain(
      '- `int4`: top1 falls from 0.9740 to 0.9310 on 500 samples, a drop of 0.0430 where 0.01 is allowed.',
    );
    expect(text).toContain('×14 ConvInteger is slower than float Conv');
    expect(text).toContain(
      '`mlpack optimize models/digits --target server,browser --provider cpu,web-wasm --max-drop 0.01`',
    );
    expect(text.endsWith('</details>\n')).toBe(true);
  });

  it('keeps every table rectangular', () => {
    const text = markdown.render(withNames('a|b`c\\|d\n| x', 'because | of\n\n# this'));
    const rows = text.split('\n').filter((line) => line.startsWith('|'));
    const width = (row: string): number => row.match(/(?<!\\)\|/g)?.length ?? 0;
    const widths = rows.map(width);
    expect(new Set(widths.slice(0, 9))).toEqual(new Set([9]));
    expect(new Set(widths.slice(9))).toEqual(new Set([4]));
  });

  it('lets GitHub make no formula out of names', () => {
    const text = markdown.render(withNames('a', 'costs $x$ and $$y$$'));
    expect(text).toContain('osts <span>$</span>x<span>$</span> and <span>$</span><span>$</span>y');
    expect(text.replaceAll('<span>$</span>', '')).not.toContain('$');
  });

  it('warns loudly when there was no data', () => {
    expect(markdown.render(syntheticReport)).toContain('> [!WARNING]\n> Accuracy was not measured');
    expect(markdown.render(sampleReport)).not.toContain('[!WARNING]');
  });

  it('leaves latency out when nothing was timed', () => {
    expect(markdown.render(keepReport)).toContain('| variant | file | download | of base | accuracy | verdict |');
  });

  it('lets no name become markup, a mention or a reference', () => {
    const text = markdown.render(
      withNames('`</details>`@octocat', '<img src=x> [a](http://evil) @octocat #12 **x** `y`\n# heading'),
    );
    expect(text).toContain('`` `</details>`@octocat ``');
    expect(text).toContain(
      '\\<img src=x\\> \\[a\\](http<!-- -->://evil) @<!-- -->octocat #<!-- -->12 \\*\\*x\\*\\* \\`y\\` # heading.',
    );
    expect(text.match(/^<\/details>$/gm)).toHaveLength(1);
  });
});
