import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { html } from '../../reports/html.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { cutInPrint, labelsOutside, openAll, overflow, structure, weakText } from './page-probes.ts';
import { hostileName, keepReport, sampleReport, syntheticReport } from './sample.ts';

const chromium = findChromium();
const pages = { sample: sampleReport, synthetic: syntheticReport, keep: keepReport };
type Name = keyof typeof pages;

describe.skipIf(chromium === undefined)('report.html in Chromium (skipped where none is installed)', () => {
  let browser: Browser;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mlpack-report-'));
    for (const [name, report] of Object.entries(pages))
      writeFileSync(join(folder, `${name}.html`), html.render(report));
    browser = await launchChromium();
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });
  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  async function open(
    name: Name,
    options: { width?: number; scheme?: 'light' | 'dark'; scripts?: boolean } = {},
  ): Promise<{ page: Page; noise: string[] }> {
    const { width = 1280, scheme = 'light', scripts = true } = options;
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: scheme,
      javaScriptEnabled: scripts,
    });
    const page = await context.newPage();
    const noise: string[] = [];
    const url = pathToFileURL(join(folder, `${name}.html`)).href;
    page.on('console', (message) => noise.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => noise.push(`error: ${error.message}`));
    page.on('dialog', async (dialog) => {
      noise.push(`dialog: ${dialog.message()}`);
      await dialog.dismiss();
    });
    page.on('request', (request) => {
      if (request.url() !== url && !request.url().startsWith('data:')) noise.push(`request: ${request.url()}`);
    });
    await page.goto(url);
    return { page, noise };
  }

  it.each(Object.keys(pages) as Name[])('is silent, and asks nothing of the network: %s', async (name) => {
    const { page, noise } = await open(name);
    await page.evaluate(openAll);
    expect(noise).toEqual([]);
  });

  it.each(['sample', 'synthetic'] as const)(
    'does not scroll sideways, from a narrow phone to a desktop: %s',
    async (name) => {
      const { page } = await open(name);
      const widths = [320, 360, 390, 768, 1024, 1440];
      const found: unknown[] = [];
      for (const fold of [false, true]) {
        if (fold) await page.evaluate(openAll);
        for (const width of widths) {
          await page.setViewportSize({ width, height: 800 });
          found.push(await page.evaluate(overflow));
        }
      }
      expect(found).toEqual(Array.from({ length: 2 * widths.length }, () => 0));
    },
  );

  it.each(['light', 'dark'] as const)('has text that can be read: %s', async (scheme) => {
    for (const name of ['sample', 'synthetic'] as const) {
      const { page } = await open(name, { scheme });
      await page.evaluate(openAll);
      expect(await page.evaluate(weakText)).toEqual([]);
      expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe(
        scheme === 'light' ? 'rgb(245, 244, 239)' : 'rgb(16, 19, 21)',
      );
      await page.context().close();
    }
  });

  it('shows names as text', async () => {
    const { page } = await open('sample');
    expect(await page.evaluate('document.images.length + document.scripts.length')).toBe(1);
    await page.evaluate(openAll);
    expect(await page.getByText(hostileName).first().isVisible()).toBe(true);
  });

  it('has one heading, landmarks, named sections, and table headers', async () => {
    const { page } = await open('sample');
    const found = await page.evaluate(structure);
    expect(found).toEqual({
      h1: [
        'Ship int8 for server and browser: 25 % of the download, 2.15× as fast on cpu, 2.10× as fast on web-wasm, top1 97.2 % (−0.2 points).'.replace(
          /(\d) (?=%|points)/g,
          '$1\u00A0',
        ),
      ],
      landmarks: [1, 1, 1, 1],
      unnamedSections: 0,
      deadLinks: 0,
      headlessTables: 0,
      silentCharts: 0,
      doubleIds: 0,
      charts: 4,
    });
    // Size and speed on two providers, size and loss: six variants that have both, four of them timed on web-wasm too.
    const points = page.locator('svg.scatter a:visible');
    expect(await points.count()).toBe(6 + 4 + 6);
    expect(await page.getByRole('table', { name: 'Variants' }).getByRole('row').count()).toBe(1 + 2 * 7);
  });

  it('shows the figures of a point while it is pointed at or focused, and leads to its row', async () => {
    const { page } = await open('sample');
    const point = page.locator('svg.pareto.wide a[aria-label^="int8"]').first();
    const details = page.locator('svg.pareto.wide').first().locator('.tip:visible');
    await expect.poll(() => details.count()).toBe(0);
    await point.hover();
    await expect.poll(() => details.count()).toBe(1);
    expect(await details.locator('text').allTextContents()).toEqual([
      'int8 (recommended)',
      'download 151 kB, 25 % of base',
      'cpu 565 µs, ×0.47 (0.45–0.48)',
      'web-wasm 2.05 ms, ×0.48 (0.46–0.50)',
      'top1 97.2 %, −0.2 points',
    ]);
    await page.mouse.move(0, 0);
    await page.keyboard.press('Tab');
    await point.focus();
    await expect.poll(() => details.count()).toBe(1);
    await page.keyboard.press('Enter');
    await expect.poll(() => page.url()).toMatch(/#v-3$/);
    expect(await page.locator('#v-3').textContent()).toMatch(/^int8/);
  });

  it.each(['light', 'dark'] as const)(
    'has no serious fault of accessibility by axe-core: %s',
    async (scheme) => {
      for (const name of ['sample', 'synthetic', 'keep'] as const) {
        for (const width of scheme === 'dark' ? [1280] : [390, 1280]) {
          const { page } = await open(name, { scheme, width });
          await page.evaluate(openAll);
          // The policy of the page lets no script in; this one comes through the debugger.
          await page.evaluate(axe.source);
          // Colours are all that differs in the dark, and do not differ by width: looking at them takes most of the time.
          const rules =
            scheme === 'dark'
              ? { runOnly: ['color-contrast'] }
              : { rules: { 'color-contrast': { enabled: width === 1280 } } };
          const options = { ...rules, resultTypes: ['violations'], selectors: false };
          const { violations } = await page.evaluate<axe.AxeResults>(`axe.run(document, ${JSON.stringify(options)})`);
          const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
          expect(serious.map(({ id, nodes }) => [id, nodes.slice(0, 3).map((one) => one.html)])).toEqual([]);
          await page.context().close();
        }
      }
    },
    240_000,
  );

  it('keeps the table a table on a phone', async () => {
    const { page } = await open('sample', { width: 360 });
    const table = page.getByRole('table', { name: 'Variants' });
    expect(await table.getByRole('rowheader').count()).toBe(7);
    expect(await table.getByRole('cell').first().isVisible()).toBe(true);
  });

  it('does not break names of layers letter by letter', async () => {
    const { page } = await open('sample', { width: 360 });
    const widths = await page.locator('#layers .bar-name').evaluateAll((all) => all.map((one) => one.clientWidth));
    expect(widths.length).toBeGreaterThan(4);
    expect(Math.min(...widths)).toBeGreaterThan(200);
  });

  it('keeps labels within the charts', async () => {
    for (const width of [360, 1280]) {
      const { page } = await open('sample', { width });
      const outside = await page.evaluate(labelsOutside);
      expect(outside).toEqual([]);
      await page.context().close();
    }
  });

  it('searches the reasons', async () => {
    const { page } = await open('sample');
    const shown = (): Promise<number> => page.locator('#steps .reason:visible').count();
    expect(await shown()).toBe(0);
    await page.getByRole('searchbox').fill('convinteger CPU');
    expect(await shown()).toBe(1);
    expect(await page.locator('#steps output').textContent()).toMatch(/^1 of \d+ reasons$/);
    await page.getByRole('searchbox').fill('no such words');
    expect(await shown()).toBe(0);
    expect(await page.locator('#steps .recipe:visible').count()).toBe(0);
    await page.getByRole('searchbox').fill('');
    expect(await shown()).toBe(0);
    expect(await page.locator('#steps .recipe:visible').count()).toBe(6);
    await page.getByLabel('Variant', { exact: true }).selectOption('int8');
    expect(await page.locator('#steps .recipe:visible h3').allTextContents()).toEqual(['int8 recommended']);
    await page.getByLabel('Variant', { exact: true }).selectOption('all');
    await page.getByLabel('only passes that changed something').check();
    expect(await page.locator('#steps .step.idle:visible').count()).toBe(0);
    expect(await page.locator('#steps .step:visible').count()).toBeGreaterThan(6);
  });

  it('works without scripts', async () => {
    const { page, noise } = await open('sample', { scripts: false });
    expect(await page.getByRole('searchbox').count()).toBe(0);
    expect(await page.getByRole('button').count()).toBe(0);
    await page.locator('#steps summary').first().click();
    expect(await page.locator('#steps .reason:visible').count()).toBe(1);
    expect(noise).toEqual([]);
  });

  it('prints without navigation, in ink on white', async () => {
    const { page } = await open('sample', { scheme: 'dark' });
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await page.locator('nav').isVisible()).toBe(false);
    expect(await page.evaluate(weakText)).toEqual([]);
    expect((await page.pdf()).length).toBeGreaterThan(10_000);
    expect(await page.evaluate(cutInPrint)).toEqual([]);
  });
});
