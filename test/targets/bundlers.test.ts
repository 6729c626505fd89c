import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build as esbuild } from 'esbuild';
import { Tensor } from 'onnxruntime-node';
import type { Browser } from 'playwright-core';
import { build as vite } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { browser as target } from '../../targets/browser/index.ts';
import { writeApp } from './support/app.ts';
import { classifier, makeArtifact } from './support/artifact.ts';
import { startHostile } from './support/hostile-server.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const chromium = findChromium();
if (chromium === undefined) note('no Chromium on this machine: what bundlers make of the loader is not run');
const dir = await tempDir();

/** Builds the app in `place` for the web; webpack and Next are in test/bench/bundlers.mjs, since installing them takes minutes. */
const bundlers: Readonly<Record<string, (place: string) => Promise<string>>> = {
  async vite(place) {
    await vite({ root: place, logLevel: 'error', configFile: false });
    return join(place, 'dist');
  },
  async esbuild(place) {
    const out = join(place, 'out');
    await mkdir(out);
    const { warnings } = await esbuild({
      ...{ entryPoints: [join(place, 'src/main.js')], outfile: join(out, 'main.js') },
      ...{ bundle: true, format: 'esm', minify: true, logLevel: 'silent' },
    });
    expect(warnings).toEqual([]);
    await cp(join(place, 'public'), out, { recursive: true });
    await writeFile(
      join(out, 'index.html'),
      '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>',
    );
    return out;
  },
};

describe.skipIf(chromium === undefined)('an app that a bundler has built', () => {
  let chrome: Browser;
  beforeAll(async () => {
    const image = new Tensor('float32', new Float32Array(144).fill(0.5), [1, 1, 12, 12]);
    await buildBundle(
      target,
      await makeArtifact(dir, classifier, [{ image }]),
      { provider: 'wasm' },
      join(dir, 'bundle'),
    );
    chrome = await launchChromium();
  });
  afterAll(() => chrome?.close());

  it.each(Object.keys(bundlers))('runs the model: %s', async (name) => {
    const place = join(dir, name);
    await writeApp(place, join(dir, 'bundle'));
    const out = await (bundlers[name] as (typeof bundlers)[string])(place);
    const server = await startHostile(out);
    const page = await chrome.newPage();
    try {
      await page.goto(server.url);
      await page.waitForFunction('window.done');
      expect(await page.evaluate('window.done')).toEqual({
        scores: [expect.any(Number), expect.any(Number), expect.any(Number), expect.any(Number)],
        label: expect.stringMatching(/^(ant|bee|cat|dog)$/),
        isError: true,
      });
      // The runtime and the model are served as they are: no bundler has made a copy of them.
      const made = (await readdir(out, { recursive: true })).filter((file) => !file.startsWith('mlpack-model'));
      expect(made.filter((file) => /\.(wasm|onnx)$/.test(file))).toEqual([]);
    } finally {
      await page.close();
      await server.close();
    }
  });
});
