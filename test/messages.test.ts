import { describe, expect, it } from 'vitest';
import { table } from '../src/cli/talk.ts';
import { formatMetricValue, nearest, significant } from '../src/messages.ts';

describe('a name that is not known', () => {
  it('is taken for a typing error only where some of it is right', () => {
    expect(nearest('fsue', ['fuse', 'prune'])).toBe(' (did you mean "fuse"?)');
    expect(nearest('f1', ['f0', 'f2'])).toBe(' (did you mean "f0"?)');
    expect([nearest('a', ['x']), nearest('a', ['A'])]).toEqual([' (known: x)', ' (did you mean "A"?)']);
    expect(nearest('zz', ['f0', 'f2'])).toBe(' (known: f0, f2)');
  });
});

describe('a table', () => {
  it('keeps names in their line, and their commands from the terminal', () => {
    const rows = [
      ['\u001b[1mclass\u001b[22m', 'value'],
      ['a\nb', '1'],
      ['\u001b]0;title\u0007', '2'],
    ];
    const width = '\\u001b]0;title\\u0007'.length;
    expect(table(rows).split('\n')).toEqual([
      `\u001b[1mclass\u001b[22m${' '.repeat(width - 5)}  value`,
      `${'a\\u000ab'.padEnd(width)}  1`,
      '\\u001b]0;title\\u0007  2',
    ]);
  });
});

describe('numbers', () => {
  it('are written out, without exponents', () => {
    expect([618, 1.19e-7, 9.996e-8, -2.5e-9, 1234567, 0, 0.5].map((value) => significant(value, 3))).toEqual([
      '618',
      '0.000000119',
      '0.000000100',
      '-0.00000000250',
      '1230000',
      '0',
      '0.500',
    ]);
    expect(significant(1e-30, 3)).toBe('1.00e-30');
  });

  it('of metrics keep their digits where they are small', () => {
    expect([0.9, 0.0000213, -0.00004, 0, 25000.25, Number.NaN, null].map(formatMetricValue)).toEqual([
      '0.9000',
      '0.0000213',
      '-0.0000400',
      '0.0000',
      '25000.2500',
      'no number',
      'no number',
    ]);
  });
});
