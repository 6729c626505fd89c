/** Bundles carry parts of one another: each must bring every file that its own ones import. Installed packages are left to conformance. */
import { readFile } from 'node:fs/promises';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { resolveTargetOptions } from '../../src/target/plan.ts';
import { targets } from '../../targets/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { tempDir } from './support/temp.ts';

const artifact = await makeArtifact(await tempDir(), classifier, classifierFeeds);
const specifier = /(?:\bfrom|\bimport|new URL)[\s(]*(['"])(\.\.?\/[^'"]+\.m?js)\1/g;

it.each(targets.filter((target) => target.supports(artifact, resolveTargetOptions(target, {})).ok))(
  '$id brings every file that its JavaScript imports',
  async (target) => {
    const sources = new Map<string, string>();
    for await (const file of target.emit(artifact, resolveTargetOptions(target, {}))) {
      let text = '';
      if (/\.m?js$/.test(file.path)) {
        if ('from' in file) text = await readFile(file.from, 'utf8');
        else if ('bytes' in file) text = Buffer.from(file.bytes as string).toString();
      }
      sources.set(file.path, text.replace(/\/\*[^]*?\*\//g, ''));
    }
    const missing = [...sources].flatMap(([path, text]) =>
      [...text.matchAll(specifier)]
        .map(([, , to = '']) => posix.join(posix.dirname(path), to))
        .filter((to) => !sources.has(to))
        .map((to) => `${path} imports ${to}`),
    );
    expect(missing).toEqual([]);
  },
);
