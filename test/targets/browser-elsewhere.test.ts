/** The browser bundle where there is no ordinary page: in an extension, and with weights beside the model that stay on the disk. */
import { createHash } from 'node:crypto';
import { cp, mkdir, realpath, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { chromium as playwright } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { makeArtifact as packModel } from '../../src/cli/artifact.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { browser as target } from '../../targets/browser/index.ts';
import { classifier, makeArtifact } from './support/artifact.ts';
import { startHostile } from './support/hostile-server.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const chromium = findChromium();
if (chromium === undefined) note('no Chromium on this machine: extensions are not tested');
const dir = await realpath(await tempDir());

/** As docs/browser.md says it. */
const manifest = {
  manifest_version: 3,
  name: 'mlpack test',
  version: '1.0',
  content_security_policy: { extension_pages: "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'" },
  cross_origin_embedder_policy: { value: 'require-corp' },
  cross_origin_opener_policy: { value: 'same-origin' },
};

/** Extensions without a key are called by the place they lie at. */
function extensionId(place: string): string {
  const hex = createHash('sha256').update(place).digest('hex').slice(0, 32);
  return Array.from(hex, (digit) => String.fromCharCode(97 + Number.parseInt(digit, 16))).join('');
}

describe.skipIf(chromium === undefined)('the browser bundle elsewhere', () => {
  it('runs in a page of a Chrome extension, with threads, and keeps nothing twice', async () => {
    const image = new Tensor('float32', new Float32Array(144).fill(0.5), [1, 1, 12, 12]);
    const artifact = await makeArtifact(dir, classifier, [{ image }]);
    await buildBundle(target, artifact, { provider: 'wasm' }, join(dir, 'bundle'));
    const place = join(dir, 'extension');
    await mkdir(place);
    await cp(join(dir, 'bundle/mlpack-model'), join(place, 'mlpack-model'), { recursive: true });
    await writeFile(join(place, 'manifest.json'), JSON.stringify(manifest));
    await writeFile(join(place, 'page.html'), '<!doctype html><script type="module" src="page.js"></script>');
    await writeFile(
      join(place, 'page.js'),
      `import { load } from './mlpack-model/index.js';
      window.result = (async () => {
        const model = await load({ base: chrome.runtime.getURL('mlpack-model/'), threads: 2 });
        const { scores } = await model.run({ image: new Float32Array(144).fill(0.5) });
        return { isolated: crossOriginIsolated, threads: model.threads, reasons: model.reasons, scores: [...scores.data] };
      })();`,
    );
    const context = await playwright.launchPersistentContext(join(dir, 'profile'), {
      executablePath: chromium ?? '',
      headless: true,
      ignoreDefaultArgs: ['--disable-extensions'],
      args: [
        '--no-sandbox',
        '--disable-dev-shm-usage',
        `--disable-extensions-except=${place}`,
        `--load-extension=${place}`,
      ],
    });
    try {
      const page = await context.newPage();
      await page.goto(`chrome-extension://${extensionId(place)}/page.html`);
      const result = await page.evaluate<{ scores: number[] }>('window.result');
      expect(result).toMatchObject({ isolated: true, threads: 2, reasons: [] });
      const expected = new Float32Array(new Uint8Array(artifact.golden[0]?.outputs[0]?.bytes ?? []).buffer);
      for (const [n, score] of expected.entries()) expect(result.scores[n]).toBeCloseTo(score, 4);
    } finally {
      await context.close();
    }
  });

  it('reads external weights from a Blob with JSPI on WebGPU, and from memory on WebAssembly', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[1,600] x) => (float[1,600] y)
<
  float[600,600] w = random(1, -0.05, 0.05)
>
{
  y = MatMul (x, w)
}`);
    const file = join(dir, 'weights/model.onnx');
    await mkdir(join(dir, 'weights'));
    await saveModel(model, file, { externalData: 'always' });
    const artifact = await packModel({
      ...{ name: 'external', variant: 'base', file, dataset: undefined, seed: 1, shapes: [], wantsGraph: false },
      signal: new AbortController().signal,
    });
    expect(artifact.files).toHaveLength(2);
    await buildBundle(target, artifact, { provider: 'webgpu' }, join(dir, 'external'));
    const server = await startHostile(join(dir, 'external'));
    const chrome = await launchChromium();
    try {
      const page = await chrome.newPage();
      const path = '/mlpack-model/runtime/LICENSE.txt';
      await page.goto(server.url + path);
      const [input, output] = [artifact.golden[0]?.inputs[0], artifact.golden[0]?.outputs[0]];
      const x = [...new Float32Array(new Uint8Array(input?.bytes ?? []).buffer)];
      const expected = new Float32Array(new Uint8Array(output?.bytes ?? []).buffer);
      for (const provider of ['webgpu', 'wasm']) {
        const got = await page.evaluate<{ y: number[]; provider: string }>(
          `import('/mlpack-model/index.js').then(async ({ load }) => {
            const model = await load({ provider: '${provider}' });
            const { y } = await model.run({ x: new Float32Array(${JSON.stringify(x)}) }, { transfer: true });
            await model.dispose();
            return { y: [...y.data], provider: model.provider };
          })`,
        );
        expect(got.provider).toBe(provider);
        for (const [n, value] of expected.entries()) expect(got.y[n]).toBeCloseTo(value, 3);
      }
      // The JSPI build was taken: it is what can read from a Blob.
      expect(server.sent.some(({ path: sent }) => sent.includes('jspi.wasm'))).toBe(true);
    } finally {
      await chrome.close();
      await server.close();
      await rm(join(dir, 'external'), { recursive: true });
    }
  });
});
