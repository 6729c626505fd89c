/**
 * Builds an app with webpack and one with Next around a browser bundle and runs both in headless Chromium:
 *
 *   node test/bench/bundlers.mjs <bundle> [webpack] [next]
 *
 * Installs the bundlers into a temporary folder (npm, a few minutes); build mlpack first. Vite and esbuild are in test/targets/bundlers.test.ts.
 */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { launchChromium } from '../../dist/src/target/chromium.js';
import { freePort } from '../../dist/src/target/process.js';

const [bundleText = '.', ...named] = process.argv.slice(2);
const bundle = resolve(bundleText);
const name = JSON.parse(readFileSync(join(bundle, 'mlpack-model/package.json'), 'utf8')).name;
const body = `
  window.done = load({ base: '/mlpack-model/', provider: 'wasm' }).then(
    (model) => ({ name: model.name, variant: model.variant }),
    (error) => ({ error: error.message }),
  );`;

function prepare(place, packages, scripts) {
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), JSON.stringify({ name: 'app', private: true, scripts }));
  const run = (...args) => execFileSync('npm', args, { cwd: place, stdio: ['ignore', 'ignore', 'inherit'] });
  run('install', '--no-audit', '--no-fund', ...packages);
  cpSync(join(bundle, 'mlpack-model'), join(place, 'public/mlpack-model'), { recursive: true });
  cpSync(join(bundle, 'mlpack-model'), join(place, 'node_modules', name), { recursive: true });
  return run;
}

const apps = {
  async webpack(place) {
    const run = prepare(place, ['webpack', 'webpack-cli'], { build: 'webpack --mode production' });
    mkdirSync(join(place, 'src'));
    writeFileSync(join(place, 'src/index.js'), `import { load } from '${name}';${body}`);
    writeFileSync(join(place, 'webpack.config.js'), `module.exports = { output: { path: ${JSON.stringify(join(place, 'public'))}, filename: 'main.js' } };`);
    writeFileSync(join(place, 'public/index.html'), '<!doctype html><link rel="icon" href="data:,"><script src="/main.js"></script>');
    run('run', 'build');
    cpSync(join(bundle, 'serve.mjs'), join(place, 'public/serve.mjs'));
    cpSync(join(bundle, '_headers'), join(place, 'public/_headers'));
    return ['node', ['public/serve.mjs']];
  },
  async next(place) {
    const run = prepare(place, ['next', 'react', 'react-dom'], { build: 'next build', start: 'next start' });
    mkdirSync(join(place, 'app'));
    writeFileSync(join(place, 'app/layout.js'), 'export default function Layout({ children }) { return <html lang="en"><body>{children}</body></html>; }');
    writeFileSync(
      join(place, 'app/page.js'),
      `'use client';
import { useEffect } from 'react';
import { useModel } from '${name}/react';
export default function Page() {
  const { status, model, error } = useModel({ base: '/mlpack-model/', provider: 'wasm' });
  useEffect(() => {
    if (status === 'ready') window.done = { name: model.name, variant: model.variant };
    if (status === 'failed') window.done = { error: error.message };
  }, [status, model, error]);
  return <p>{status}</p>;
}`,
    );
    run('run', 'build');
    return ['npx', ['next', 'start']];
  },
};

const chrome = await launchChromium();
for (const [id, make] of Object.entries(apps)) {
  if (named.length > 0 && !named.includes(id)) continue;
  const place = mkdtempSync(join(tmpdir(), `mlpack-${id}-`));
  const [command, args] = await make(place);
  const port = await freePort();
  const server = spawn(command, args, { cwd: place, env: { ...process.env, PORT: String(port) }, stdio: 'ignore', detached: true });
  try {
    const page = await chrome.newPage();
    for (let attempt = 0; ; attempt++) {
      try {
        await page.goto(`http://127.0.0.1:${port}/`);
        break;
      } catch (error) {
        if (attempt === 40) throw error;
        await sleep(500);
      }
    }
    await page.waitForFunction('window.done', undefined, { timeout: 60_000 });
    process.stdout.write(`${id.padEnd(8)} ${JSON.stringify(await page.evaluate('window.done'))}\n`);
    await page.close();
  } finally {
    process.kill(-server.pid, 'SIGTERM');
    rmSync(place, { recursive: true, force: true });
  }
}
await chrome.close();
