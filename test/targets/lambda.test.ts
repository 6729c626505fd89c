import { spawn, spawnSync } from 'node:child_process';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import type { Artifact } from '../../src/target/target.ts';
import { lambda } from '../../targets/lambda/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules('lambda') ?? '';
const dir = await tempDir();
const bundle = join(dir, 'bundle');
let artifact: Artifact;
const good = { name: 'image', datatype: 'FP32', shape: [1, 1, 12, 12], data: Array.from({ length: 144 }, () => 1) };

interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded?: boolean;
}

describe.skipIf(modules === '')('lambda', () => {
  let handler: (event: unknown) => Promise<unknown>;
  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, classifierFeeds);
    await buildBundle(lambda, artifact, {}, bundle);
    await symlink(modules, join(bundle, 'node_modules'));
    ({ handler } = (await import(pathToFileURL(join(bundle, 'index.mjs')).href)) as { handler: typeof handler });
  });

  it('answers a request as it is, and as the body of a call', async () => {
    const direct = (await handler({ id: 'a', inputs: [good] })) as { id: string; outputs: object[] };
    expect(direct.id).toBe('a');
    const http = { requestContext: {}, headers: { 'Content-Type': 'application/json' } };
    const body = JSON.stringify({ inputs: [good] });
    for (const event of [
      { ...http, body },
      { ...http, body: Buffer.from(body).toString('base64'), isBase64Encoded: true },
      { httpMethod: 'POST', body },
    ]) {
      const answer = (await handler(event)) as HttpAnswer;
      expect([answer.statusCode, JSON.parse(answer.body).outputs]).toEqual([200, direct.outputs]);
    }
  });

  it('says what it is behind a stage of API Gateway, too', async () => {
    for (const path of ['/v2', '/prod/v2', '/prod/v2/']) {
      const answer = (await handler({ httpMethod: 'GET', path })) as HttpAnswer;
      expect([answer.statusCode, JSON.parse(answer.body)], path).toEqual([
        200,
        expect.objectContaining({ name: 'mlpack-function', extensions: ['binary_tensor_data'] }),
      ]);
    }
    const post = (await handler({
      httpMethod: 'POST',
      path: '/v2',
      body: JSON.stringify({ inputs: [good] }),
    })) as HttpAnswer;
    expect(post.statusCode).toBe(200);
  });

  it('takes and gives binary tensors through a call', async () => {
    const [{ inputs, outputs }] = artifact.golden as [Artifact['golden'][number]];
    const answer = (await handler({
      requestContext: {},
      headers: { 'Inference-Header-Content-Length': '0' },
      body: Buffer.from(inputs[0]?.bytes ?? []).toString('base64'),
      isBase64Encoded: true,
    })) as HttpAnswer;
    const bytes = Buffer.from(answer.body, 'base64');
    const length = Number(answer.headers['inference-header-content-length']);
    expect(bytes.subarray(length).equals(outputs[0]?.bytes ?? new Uint8Array())).toBe(true);
  });

  it('gives 400 for what cannot be used, and throws it where there is no HTTP', async () => {
    const wrong = { inputs: [{ ...good, shape: [1] }] };
    const answer = (await handler({ requestContext: {}, body: JSON.stringify(wrong) })) as HttpAnswer;
    expect([answer.statusCode, JSON.parse(answer.body).error]).toEqual([400, expect.stringContaining('not [1]')]);
    await expect(handler(wrong)).rejects.toThrow('not [1]');
    await expect(handler(null)).rejects.toThrow('must be a JSON object');
  });

  it('waits for the next call as long as it takes, and reports an answer that the platform does not take', async () => {
    const posted: string[] = [];
    const api = createServer((request, response) => {
      const path = request.url ?? '';
      if (path.endsWith('/next') && posted.length === 0) {
        response.writeHead(200, { 'lambda-runtime-aws-request-id': 'one' }).end(JSON.stringify({ inputs: [good] }));
      } else if (!path.endsWith('/next')) {
        let text = '';
        request.on('data', (chunk) => (text += chunk));
        request.on('end', () => {
          posted.push(`${path.split('/').slice(-2).join('/')} ${text}`);
          response.writeHead(path.endsWith('/response') ? 413 : 202).end('{"errorType":"RequestEntityTooLarge"}');
        });
      }
    });
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    const address = `127.0.0.1:${(api.address() as AddressInfo).port}`;
    // `fetch` gives up after five minutes without an answer: here at once.
    const hasty = 'data:text/javascript,globalThis.fetch = () => { throw new Error("fetch failed") }';
    const child = spawn(process.execPath, ['--import', hasty, 'bootstrap.mjs'], {
      cwd: bundle,
      env: { ...process.env, AWS_LAMBDA_RUNTIME_API: address },
      stdio: 'ignore',
    });
    for (let tries = 0; posted.length < 2 && tries < 400; tries++) await sleep(25);
    expect([posted[0]?.slice(0, 12), posted[1]]).toEqual([
      'one/response',
      expect.stringMatching(/^one\/error .*took no answer: 413.*RequestEntityTooLarge/),
    ]);
    await sleep(100);
    expect(child.exitCode).toBeNull();
    child.kill();
    api.closeAllConnections();
    api.close();
  });

  it('packs a zip that unzip takes, the same twice, and names the limits', async ({ skip }) => {
    const place = join(dir, 'packed');
    await cp(bundle, place, {
      recursive: true,
      dereference: true,
      filter: (path) => !/node_modules.bin|darwin|win32/.test(path),
    });
    const pack = (): string => {
      const { stdout, stderr, status } = spawnSync(process.execPath, ['pack.mjs', 'x64'], {
        cwd: place,
        encoding: 'utf8',
      });
      expect([status, stderr]).toEqual([0, '']);
      return stdout;
    };
    expect(pack()).toMatch(
      /^function\.zip: \d+\.\d MiB \(small enough for a direct upload\); unzipped \d+\.\d MiB of 250\.0 MiB$/m,
    );
    if (!has('unzip')) {
      note('no unzip on this machine: function.zip is not opened by it');
      return skip();
    }
    const { stdout, status } = spawnSync('unzip', ['-tq', 'function.zip'], { cwd: place, encoding: 'utf8' });
    expect([status, stdout]).toEqual([0, expect.stringContaining('No errors detected')]);
  });

  it('packs the same zip where paths have backslashes', async () => {
    const place = join(dir, 'packed-windows');
    await cp(bundle, place, { recursive: true, filter: (from) => !from.includes('node_modules') });
    const binaries = join(place, 'node_modules/onnxruntime-node/bin/napi-v6');
    for (const platform of ['linux/x64', 'linux/arm64', 'win32/x64', 'darwin/arm64']) {
      await mkdir(join(binaries, platform), { recursive: true });
      await writeFile(join(binaries, platform, 'binding.node'), platform);
    }
    const pack = async (...args: string[]): Promise<Buffer> => {
      const { stderr, status } = spawnSync(process.execPath, [...args, 'pack.mjs', 'x64'], {
        cwd: place,
        encoding: 'utf8',
      });
      expect([status, stderr]).toEqual([0, '']);
      return readFile(join(place, 'function.zip'));
    };
    const here = await pack();
    expect(here.toString('latin1')).toContain('bin/napi-v6/linux/x64/binding.node');
    expect(here.toString('latin1')).not.toMatch(/win32|darwin|arm64/);
    // Windows' rules for paths, and a file system that takes what they give.
    const windows = join(dir, 'windows.cjs');
    await writeFile(
      windows,
      `const [path, fs] = [require('node:path'), require('node:fs')];
for (const name of ['join', 'relative']) path[name] = path.win32[name];
for (const name of ['readdirSync', 'readFileSync', 'statSync', 'writeFileSync']) {
  const own = fs[name];
  fs[name] = (place, ...rest) => own(typeof place === 'string' ? place.replaceAll('\\\\', '/') : place, ...rest);
}
require('node:module').syncBuiltinESMExports();
`,
    );
    expect((await pack('--require', windows)).equals(here)).toBe(true);
  });

  it('says when only an image is large enough', () => {
    const [file] = artifact.files;
    const large = { ...artifact, files: [{ ...(file as (typeof artifact.files)[number]), bytes: 230_000_000 }] };
    expect(lambda.supports(large, {}).because.join()).toContain('use the container image');
    expect(lambda.supports(artifact, {}).because).toEqual([]);
  });
});
