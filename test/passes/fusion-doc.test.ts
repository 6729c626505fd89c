import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';

/** JavaScript, so that the bench command that writes the page uses it too. */
const { describeRules, marker } = (await import(new URL('../support/fusion-rules.mjs', import.meta.url).href)) as {
  describeRules(rules: Readonly<Record<string, string>>): string;
  marker: string;
};

it('docs/fusion.md has every rule of the fuse pass, as it describes itself, with the example of its golden cases', () => {
  const text = readFileSync(new URL('../../docs/fusion.md', import.meta.url), 'utf8');
  expect(text.slice(text.indexOf(marker)), 'run test/bench/fusion-doc.mjs').toBe(describeRules(fuse.rules));
});
