import { describe, expect, it } from 'vitest';
import { columns, printable, shortName, wrap } from '../../src/cli/columns.ts';
import { printSummary } from '../../src/cli/optimize/summary.ts';
import { createTalk } from '../../src/cli/talk.ts';
import { hostileName, keepReport, sampleReport } from '../reports/sample.ts';

describe('columns', () => {
  const rows = [
    ['ok', 'size', 'the file is 179 kB, 26 % of base, where at most 60 % is allowed'],
    ['failed', 'accuracy', 'no'],
  ];

  it('pads, aligns, and leaves text as long as it is where there is no terminal', () => {
    expect(columns(rows)).toBe(
      'ok      size      the file is 179 kB, 26 % of base, where at most 60 % is allowed\nfailed  accuracy  no',
    );
    expect(
      columns(
        [
          ['a', '1', ''],
          ['b', '22', ''],
        ],
        { right: [1] },
      ),
    ).toBe('a   1\nb  22');
  });

  it('wraps beside the row, below it where that is narrow, and gives up columns last', () => {
    expect(columns(rows.slice(0, 1), { width: 50 })).toBe(
      'ok  size  the file is 179 kB, 26 % of base, where\n          at most 60 % is allowed',
    );
    expect(columns(rows, { width: 30 }).split('\n').slice(0, 3)).toEqual([
      'ok      size',
      '    the file is 179 kB, 26 %',
      '    of base, where at most 60',
    ]);
    expect(columns([['aaaaaaaa', 'bbbbbbbb', 'cccccccc', '']], { width: 20 })).toBe('aaaaaaaa  bbbbbbbb\n    cccccccc');
  });

  it('counts neither colours nor the halves of a character', () => {
    expect(
      columns([
        ['\u001b[1mab\u001b[22m', 'x'],
        ['😀b', 'y'],
      ]),
    ).toBe('\u001b[1mab\u001b[22m  x\n😀b  y');
    expect(wrap('aaaa bb ccccccccccc', 5)).toEqual(['aaaa', 'bb', 'ccccc', 'ccccc', 'c']);
    expect(shortName('x'.repeat(100), 30)).toHaveLength(24);
  });

  it('shows control characters as signs', () => {
    expect(printable('a\u001b[2Jb\u202Ec\nd')).toBe('a\uFFFD[2Jb\uFFFDc d');
  });
});

describe('the summary of optimize', () => {
  const reports = {
    sample: sampleReport,
    keep: keepReport,
    hostile: {
      ...sampleReport,
      variants: sampleReport.variants.map((one) =>
        one.name === 'int8'
          ? { ...one, name: `${hostileName}\u001b[2J`, reasons: ['\u001b]0;x\u0007 '.repeat(30)] }
          : one,
      ),
      recommendations: [],
      bundles: [],
    },
  };

  it.each([38, 60, 80, 120, undefined])('fits %s columns, and lets no name drive the terminal', (width) => {
    for (const report of Object.values(reports)) {
      let text = '';
      const sink = {
        write: (part: string) => (text += part),
        ...(width !== undefined && { isTTY: true, columns: width }),
      };
      const io = { stdout: sink, stderr: sink, argv: [], env: {}, cwd: '', signal: new AbortController().signal };
      printSummary(report, 'out', createTalk({ ...io, scratch: new Set() }, {}), sink);
      const plain = text.replace(/\u001b\[[0-9;]*m/g, '');
      expect(plain).not.toMatch(/[\u001b\u0007]/);
      if (width === undefined) expect(text).toBe(plain);
      // Paths and commands at the end are there to be copied.
      for (const line of plain.split('\n').filter((one) => !/^(report|bundle) /.test(one)))
        expect(Array.from(line).length).toBeLessThanOrEqual(width ?? 4000);
    }
  });

  it('leaves the remedy at the end of a reason in', () => {
    const remedy = 'raise it with --opset 20';
    const reasons = [
      `fuse changed nothing, the file would equal base: ${'Gelu needs opset 20, the model has 17; '.repeat(3)}${remedy}`,
    ];
    const variants = sampleReport.variants.map((one) => (one.name === 'fp16' ? { ...one, reasons } : one));
    let text = '';
    const sink = { write: (part: string) => (text += part) };
    const io = { stdout: sink, stderr: sink, argv: [], env: {}, cwd: '', signal: new AbortController().signal };
    printSummary({ ...sampleReport, variants }, 'out', createTalk({ ...io, scratch: new Set() }, {}), sink);
    expect(text).toContain(remedy);
  });
});
