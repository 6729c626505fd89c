import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/target/package-root.ts';
import { type Running, startBundle } from '../../src/target/process.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();

/** `fetch` would tidy the path up first. */
function statusOf(base: string, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    request({ hostname, port, path }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

describe('the little server of a browser bundle', () => {
  let running: Running;
  beforeAll(async () => {
    const place = join(dir, 'site');
    await mkdir(place);
    const files = join(packageRoot(), 'targets/browser/files');
    await copyFile(join(files, 'serve.mjs'), join(place, 'serve.mjs'));
    await copyFile(join(files, 'headers.txt'), join(place, '_headers'));
    await writeFile(join(place, 'index.html'), 'hello');
    await writeFile(join(dir, 'secret'), 'x');
    running = await startBundle(['serve.mjs'], {
      command: 'node serve.mjs',
      dir: place,
      readyPath: '/',
      timeoutMs: 20_000,
    });
  });
  afterAll(() => running.stop());

  it.each(['//', '/../secret', '/..%2fsecret', '/%zz', 'http://[', '/serve.mjs/', '/none'])(
    'answers 404 to %s and goes on',
    async (path) => {
      expect(await statusOf(running.url, path)).toBe(404);
      expect(await statusOf(running.url, '/')).toBe(200);
    },
  );
});
