import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from '../../src/target/process.ts';
import { hostFiles, parseHeaders } from '../../targets/browser/hosting.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const nginx = ['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/opt/homebrew/bin/nginx'].find((place) =>
  existsSync(place),
);
if (nginx === undefined) note('no nginx on this machine: its configuration is not tried');

const isolating = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };

describe('headers for hosts', () => {
  const text = (path: string): string => hostFiles().find((file) => file.path === path)?.bytes ?? '';

  it('says the same to all of them', () => {
    const [rule] = parseHeaders(text('_headers'));
    expect(rule?.path).toBe('/*');
    const own = Object.fromEntries((rule?.headers ?? []).map(([name, value]) => [name.toLowerCase(), value]));
    expect(own).toMatchObject(isolating);
    const { headers } = JSON.parse(text('vercel.json')) as {
      headers: { source: string; headers: { key: string; value: string }[] }[];
    };
    expect(headers[0]?.source).toBe('/(.*)');
    const vercel = (headers[0]?.headers ?? []).map(({ key, value }) => [key.toLowerCase(), value]);
    expect(Object.fromEntries(vercel)).toEqual(own);
  });

  it.skipIf(nginx === undefined)('is taken by nginx, which sends them', async () => {
    const root = join(dir, 'site');
    await mkdir(root);
    await writeFile(join(root, 'a.mjs'), 'export {}');
    await writeFile(join(root, 'nginx.conf'), text('nginx.conf'));
    const port = await freePort();
    const config = `daemon off; pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1; events {}
http { access_log off; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy; fastcgi_temp_path ${dir}/fcgi; uwsgi_temp_path ${dir}/uwsgi; scgi_temp_path ${dir}/scgi;
server { listen 127.0.0.1:${port}; root ${root}; include ${root}/nginx.conf; } }`;
    await writeFile(join(dir, 'main.conf'), config.replace('worker_processes', 'user root; worker_processes'));
    if (process.getuid?.() !== 0) await writeFile(join(dir, 'main.conf'), config);
    const program = nginx as string;
    execFileSync(program, ['-t', '-c', join(dir, 'main.conf')], { stdio: 'pipe' });
    const server = spawn(program, ['-c', join(dir, 'main.conf')], { stdio: 'ignore' });
    try {
      const get = (): Promise<Response> => fetch(`http://127.0.0.1:${port}/a.mjs`);
      await expect
        .poll(
          () =>
            get().then(
              ({ status }) => status,
              () => 0,
            ),
          { timeout: 10_000 },
        )
        .toBe(200);
      const { headers } = await get();
      expect(Object.fromEntries(headers)).toMatchObject({ ...isolating, 'content-type': 'text/javascript' });
    } finally {
      server.kill('SIGTERM');
    }
  });
});
