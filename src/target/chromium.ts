import { existsSync } from 'node:fs';
import type * as Playwright from 'playwright-core';
import { UserError } from '../errors.ts';

const places = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/snap/bin/chromium',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
];

/** An installed Chromium or Chrome, or undefined. */
export function findChromium(): string | undefined {
  return places.find((place) => existsSync(place));
}

/**
 * No sandbox only for root, for whom Chromium has none; no calls home; WebGPU on the software adapter, or on the machine's
 * own, which headless Chromium on Linux reaches through Vulkan only.
 */
function flags(software: boolean): string[] {
  const adapter = software
    ? ['--use-webgpu-adapter=swiftshader']
    : process.platform === 'linux'
      ? ['--use-angle=vulkan', '--enable-features=Vulkan', '--disable-vulkan-surface']
      : [];
  return [
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--enable-unsafe-webgpu',
    ...adapter,
  ];
}

/**
 * Starts headless Chromium.
 * @param executable path of the browser; default: where systems usually have it
 * @param options `software` (default): WebGPU on SwiftShader, where what it computes is right and its times mean nothing;
 * false: on the graphics adapter of the machine, where there is one.
 * @throws UserError `playwright-missing`, `chromium-missing`, `chromium-start`.
 */
export async function launchChromium(
  executable?: string,
  { software = true }: { readonly software?: boolean } = {},
): Promise<Playwright.Browser> {
  const { chromium } = await loadPlaywright();
  const executablePath = executable ?? findChromium();
  if (executablePath === undefined || !existsSync(executablePath)) {
    const what = executable === undefined ? 'was not found' : `is not at ${executable}`;
    throw new UserError(
      'chromium-missing',
      `The browser's providers need Chromium or Chrome, which ${what}; install it (Debian: apt-get install chromium) or give its path.`,
    );
  }
  try {
    return await chromium.launch({ executablePath, headless: true, args: flags(software) });
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new UserError('chromium-start', `${executablePath} does not start: ${why}`, { cause: error });
  }
}

async function loadPlaywright(): Promise<typeof Playwright> {
  try {
    return await import('playwright-core');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UserError(
      'playwright-missing',
      'The browser’s providers need the npm package playwright-core, which is not installed; run npm install playwright-core.',
      { cause: error },
    );
  }
}
