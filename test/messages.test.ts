import { describe, expect, it } from 'vitest';
import { table } from '../src/cli/talk.ts';
import { nearest } from '../src/messages.ts';

describe('a name that is not known', () => {
  it('is taken for a typing error only where some of it is right', () => {
    expect(nearest('fsue', ['fuse', 'prune'])).toBe(' (did you mean "fuse"?)');
    expect(nearest('f1', ['f0', 'f2'])).toBe(' (did you mean "f0"?)');
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
