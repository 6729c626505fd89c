import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { type Running, startBundle } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { browser as target } from '../../targets/browser/index.ts';
import { classifier, classifierFeeds, everyType, everyTypeFeeds, makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const chromium = findChromium();
if (chromium === undefined) note('no Chromium on this machine: the demo page is not tested');
const dir = await tempDir();

interface Stop {
  readonly name: string;
  readonly named: boolean;
  /** Width and style of the outline. */
  readonly ring: string;
  /** Scrolled into view. */
  readonly seen: boolean;
  /** From the top of the page. */
  readonly top: number;
}

/** What has the focus; of a field for files, which is not shown, its button. */
const focused = `(() => {
  const element = document.activeElement;
  if (element === document.body) return null;
  const shown = element.closest('.button') ?? element;
  const { outlineWidth, outlineStyle } = getComputedStyle(shown);
  const { top, bottom } = shown.getBoundingClientRect();
  const name = (element.ariaLabel || shown.textContent).trim();
  return { name, named: name !== '', ring: outlineWidth + ' ' + outlineStyle, seen: top >= 0 && bottom <= innerHeight, top: Math.round(top + scrollY) };
})()`;

describe.skipIf(chromium === undefined)('demo page in Chromium', () => {
  let artifact: Artifact;
  let chrome: Browser;
  let served: Running;
  const complaints: string[] = [];

  const serve = (name: string): Promise<Running> =>
    startBundle(['serve.mjs'], {
      ...{ command: 'node serve.mjs', dir: join(dir, name), readyPath: '/', timeoutMs: 60_000 },
    });

  async function open(url: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    const context = await chrome.newContext(options);
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await page.goto(url);
    return page;
  }

  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, [{ image: firstPicture() }]);
    chrome = await launchChromium();
    await buildBundle(target, artifact, {}, join(dir, 'demo'));
    served = await serve('demo');
  });
  afterAll(async () => {
    await served.stop();
    await chrome.close();
  });

  it.each([
    ['a desktop', { viewport: { width: 1200, height: 900 } }],
    ['a phone', { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }],
  ])('answers an example, a drawing and a picture on %s, without an error or a sideways scroll', async (_, options) => {
    const page = await open(served.url, options);
    await page.waitForSelector('.bars li');
    expect(await page.textContent('h1')).toBe('tiny');
    const labels = await page.locator('.bars li span:nth-child(2)').allTextContents();
    expect([...labels].sort()).toEqual(['ant', 'bee', 'cat', 'dog']);
    const scores = artifact.golden[0]?.outputs[0]?.bytes ?? new Uint8Array();
    const values = [...new Float32Array(new Uint8Array(scores).buffer)];
    expect(labels[0]).toBe(['ant', 'bee', 'cat', 'dog'][values.indexOf(Math.max(...values))]);

    const raw = () => page.textContent('details pre');
    const before = await raw();
    const box = await page.locator('.pad canvas').boundingBox();
    if (!box) throw new Error('no pad');
    await page.mouse.move(box.x + 20, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height - 30, { steps: 8 });
    await page.mouse.up();
    await expect.poll(raw).not.toBe(before);
    const drawn = await raw();
    await page
      .locator('input[type=file]')
      .setInputFiles({ name: 'p.png', mimeType: 'image/png', buffer: await picture(page) });
    await expect.poll(raw).not.toBe(drawn);
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    await page.getByRole('button', { name: 'Clear' }).click();
    expect(await page.isVisible('.hint')).toBe(true);
    expect(await page.textContent('#strip')).toContain('WebAssembly');
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('can be used with the keyboard: in the order in which it is read, with a ring around what has the focus', async () => {
    const page = await open(served.url, { viewport: { width: 360, height: 740 } });
    await page.waitForSelector('.bars li');
    const stops: Stop[] = [];
    for (let n = 0; n < 40; n++) {
      await page.keyboard.press('Tab');
      const stop = await page.evaluate<Stop | null>(focused);
      if (!stop) break;
      stops.push(stop);
    }
    expect(stops.map(({ name }) => name)).toEqual([
      ...['Clear', 'Choose a picture', 'All outputs', 'Example 1', 'Self-test'],
    ]);
    for (const { ring, seen, named } of stops)
      expect({ ring, seen, named }).toEqual({ ring: '3px solid', seen: true, named: true });
    // One column: further down is further on.
    expect(stops.map(({ top }) => top)).toEqual(stops.map(({ top }) => top).sort((a, b) => a - b));

    const raw = () => page.textContent('details pre');
    const before = await raw();
    await page.getByRole('button', { name: 'Clear' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.isVisible('.hint')).toBe(true);
    await page.getByRole('button', { name: 'Example 1' }).focus();
    await page.keyboard.press('Space');
    await expect.poll(raw).toBe(before);
    await expect.poll(() => page.isVisible('.hint')).toBe(false);
    await page.context().close();
  });

  it('keeps heavy work off the page, and its own code under 100 KB', async () => {
    const page = await open('about:blank');
    const paths: string[] = [];
    page.context().on('response', (response) => paths.push(new URL(response.url()).pathname));
    await page.goto(served.url);
    await page.waitForSelector('.bars li');
    const asked = await page.evaluate<string[]>(
      `performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)`,
    );
    // Runtime and model are fetched, verified and run where they block nobody.
    expect(asked).toContain('/mlpack-model/index.js');
    expect(asked.filter((path) => /runtime|\.onnx|engine\.js|download\.js/.test(path))).toEqual([]);
    const own = new Set([...paths, ...asked, ...(await page.evaluate<string[]>(workerFiles))]);
    const code = [...own].filter(
      (path) => (path === '/' || /\.(js|css|html)$/.test(path)) && !path.includes('runtime'),
    );
    expect(code).toEqual(expect.arrayContaining(['/', '/demo/main.js', '/demo/style.css', '/mlpack-model/engine.js']));
    let bytes = 0;
    for (const path of code) bytes += (await readFile(join(dir, 'demo', path === '/' ? 'index.html' : path))).length;
    expect(bytes).toBeGreaterThan(50_000);
    expect(bytes).toBeLessThan(100_000);
    await page.context().close();
  });

  it('runs on WebGPU when asked', async () => {
    const page = await open(`${served.url}/?provider=webgpu`);
    await page.waitForSelector('.bars li', { timeout: 60_000 });
    expect(await page.textContent('#strip')).toContain('WebGPU');
    await page.context().close();
  });

  it('gives readable, typed errors', async () => {
    const page = await open(served.url);
    await page.waitForSelector('.bars li');
    const failing = async (body: string): Promise<unknown> =>
      page.evaluate(`import('/mlpack-model/index.js').then(async ({ load }) => {
        try { ${body} } catch (error) { return [error.name, error.code, error.message]; }
      })`);
    expect(await failing(`await load({ provider: 'cuda' })`)).toEqual([
      'ModelError',
      'provider',
      'There is no provider "cuda"; choose auto, webgpu or wasm.',
    ]);
    expect(await failing(`const m = await load(); await m.run({ image: [1] })`)).toEqual([
      'ModelError',
      'input',
      expect.stringContaining('has shape [batch, 1, 12, 12]'),
    ]);
    expect(
      await failing(`const m = await load(); await m.dispose(); await m.run({ image: new Float32Array(144) })`),
    ).toEqual(['ModelError', 'disposed', 'The model was disposed of.']);
    const stop = 'const c = new AbortController(); c.abort(); await load({ signal: c.signal })';
    expect(await failing(stop)).toEqual(['ModelError', 'cancelled', 'Loading was cancelled.']);
    await page.context().close();
  });

  it('answers calls that overlap in their order', async () => {
    const page = await open(served.url);
    const same = await page.evaluate(`import('/mlpack-model/index.js').then(async ({ load }) => {
      const model = await load({ provider: 'wasm' });
      const feeds = [0, 1, 2, 3].map((n) => ({ image: new Float32Array(144).fill(n / 4) }));
      const together = await Promise.all(feeds.map((one) => model.run(one)));
      for (const [n, one] of feeds.entries()) {
        const alone = await model.run(one);
        if (alone.scores.data.join() !== together[n].scores.data.join()) return false;
      }
      return true;
    })`);
    expect(same).toBe(true);
    await page.context().close();
  });

  it('does not run a damaged model, and says so in the page', async () => {
    await cp(join(dir, 'demo'), join(dir, 'damaged'), { recursive: true });
    const damaged = await serve('damaged');
    const file = join(dir, 'damaged/mlpack-model/model.onnx');
    const bytes = await readFile(file);
    bytes[200] = (bytes[200] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const page = await open(damaged.url);
    await page.waitForSelector('#status.error');
    expect(await page.textContent('#status')).toMatch(
      /model\.onnx\?v=\w+ is damaged: its bytes 0 to \d+ \(of model\.onnx\) are not those that model\.json names/,
    );
    await writeFile(file, bytes.subarray(0, 100));
    await page.reload();
    await page.waitForSelector('#status.error');
    expect(await page.textContent('#status')).toMatch(/broke off: it has 100 bytes instead of \d+/);
    await page.context().close();
    await damaged.stop();
  });

  it('serves only what is in the folder', async () => {
    const status = async (path: string) => (await fetch(`${served.url}${path}`)).status;
    expect(await status('/mlpack.json')).toBe(200);
    await writeFile(join(dir, 'secret'), 'x');
    expect(await status('/%2e%2e/secret')).toBe(404);
    expect(await status('/..%2fsecret')).toBe(404);
    expect(await status('/%zz')).toBe(404);
    expect(await status('/demo')).toBe(404);
    expect((await fetch(served.url, { method: 'POST' })).status).toBe(405);
  });

  it('offers random numbers and JSON for inputs that are no picture', async () => {
    const types = await makeArtifact(dir, everyType, everyTypeFeeds);
    await buildBundle(target, types, { splitRuntime: false }, join(dir, 'types'));
    const other = await serve('types');
    const page = await open(other.url, { viewport: { width: 360, height: 740 } });
    await page.waitForSelector('#output pre');
    expect(await page.textContent('#output')).toContain('sum: float32 [3, 2]');
    await page.getByLabel('Size of "n"').fill('5');
    await page.getByRole('button', { name: 'Run with random numbers' }).click();
    await expect.poll(() => page.textContent('#output')).toContain('sum: float32 [5, 2]');
    await page.getByText('Values of your own').click();
    await page.getByLabel('Inputs as JSON').fill('{"a": [1]');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    expect(await page.textContent('.error:not([hidden])')).toContain('This is not JSON');
    await page.getByLabel('Inputs as JSON').fill('{"z": [1]}');
    await page.getByRole('button', { name: 'Run', exact: true }).click();
    await expect.poll(() => page.textContent('#output')).toContain('The model has no input "z"');
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    await page.context().close();
    await other.stop();
  });
});

/** What a model's worker has loaded. */
const workerFiles = `import('/mlpack-model/index.js').then(async ({ load }) => {
  const model = await load({ provider: 'wasm' });
  await model.dispose();
  return model.urls.map((url) => new URL(url).pathname);
})`;

/** One picture of the batch of two. */
function firstPicture(): Tensor {
  const data = classifierFeeds[0]?.image?.data as Float32Array;
  return new Tensor('float32', data.slice(0, 144), [1, 1, 12, 12]);
}

/** A PNG that the browser itself draws. */
async function picture(page: Page): Promise<Buffer> {
  const url = await page.evaluate(`(() => {
    const canvas = document.createElement('canvas');
    canvas.width = 60; canvas.height = 40;
    const context = canvas.getContext('2d');
    context.fillStyle = '#fff'; context.fillRect(0, 0, 60, 40);
    context.fillStyle = '#246'; context.fillRect(20, 5, 9, 30);
    return canvas.toDataURL('image/png');
  })()`);
  return Buffer.from(String(url).split(',')[1] ?? '', 'base64');
}
