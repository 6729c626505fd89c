import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fuse } from '../../passes/fuse/fuse.ts';

it('docs/fusion.md has every rule of the fuse pass, as it describes itself', () => {
  const text = readFileSync(new URL('../../docs/fusion.md', import.meta.url), 'utf8');
  for (const [rule, summary] of Object.entries(fuse.rules)) {
    expect(text, 'run test/bench/fusion-doc.mjs').toContain(
      `### ${rule}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n`,
    );
  }
});
