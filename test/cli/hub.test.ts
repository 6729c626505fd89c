/** Models by their name on the hub: a server here that has the same paths. */
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCli } from './support.ts';

const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));
const cwd = mkdtempSync(join(tmpdir(), 'mlpack-test-'));
let hub: Server;
let env: Record<string, string>;
let failing = false;
/** Files that were fetched of the repositories below. */
const asked: string[] = [];
/** Names of the files of repositories with a list, as the hub's API gives them. */
const lists: Record<string, string[]> = {
  'you/parts': [
    ...['README.md', 'config.json', '../evil.json', 'model.safetensors'],
    ...['decoder_model', 'decoder_model_merged', 'decoder_with_past_model'].map((stem) => `onnx/${stem}.onnx`),
    ...['encoder_model', 'encoder_model_q4'].flatMap((stem) => [`onnx/${stem}.onnx`, `onnx/${stem}.onnx_data`]),
  ],
  'you/weights': ['model.safetensors', 'config.json'],
  'you/elsewhere': ['v2/net.onnx', 'v2/net.onnx.data', 'tokenizer.json'],
};

beforeAll(async () => {
  const model = await readFile(join(digits, 'model.onnx'));
  const plain: Record<string, string | Buffer> = { 'onnx/model.onnx': model, 'config.json': '{}' };
  hub = createServer(({ url = '' }, response) => {
    const list = lists[/^\/api\/models\/(.+)$/.exec(url)?.[1] ?? ''];
    const [, id = '', file = ''] = /^\/(\w+\/\w+)\/resolve\/main\/(.+)$/.exec(url) ?? [];
    const isListed = lists[id]?.includes(file);
    if (isListed) asked.push(file);
    if (failing) response.writeHead(503).end();
    else if (list) response.end(JSON.stringify({ siblings: list.map((rfilename) => ({ rfilename })) }));
    else if (isListed) response.end(file.endsWith('.onnx') ? model : '{}');
    else if (id === 'me/digits' && plain[file] !== undefined) response.end(plain[file]);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  env = { HF_ENDPOINT: endpoint, XDG_CACHE_HOME: join(cwd, 'cache') };
});
afterAll(async () => {
  hub.close();
  await rm(cwd, { recursive: true, force: true });
});

async function refused(name: string, sentence: RegExp, others: Record<string, string> = {}): Promise<void> {
  const { code, stdout, stderr } = await runCli(['inspect', name, '-q'], { cwd, env: { ...env, ...others } });
  expect(stderr).toMatch(sentence);
  expect(stderr).toMatch(/^mlpack: [^\n]+\n$/);
  expect(stdout).toBe('');
  expect(code).toBe(2);
}

async function parameters(name: string): Promise<unknown> {
  const { stdout } = await runCli(['inspect', name, '--json'], { cwd, env });
  return (JSON.parse(stdout) as { parameters: unknown }).parameters;
}

it('fetches a model once, whole or not at all', async () => {
  await refused('me/nothing', /neither a local path nor a hub model.*404/);
  failing = true;
  await refused('me/digits', /answered 503/);
  failing = false;
  expect(await parameters('me/digits')).toBe(167_006);
  failing = true;
  expect(await parameters('me/digits')).toBe(167_006);
  failing = false;
  await refused('me/other', /the hub cannot be reached/, { HF_ENDPOINT: 'http://127.0.0.1:9' });
});

it('fetches all files that make up a model, with their data', async () => {
  const parts = ['onnx/decoder_model_merged.onnx', 'onnx/encoder_model.onnx'];
  const argv = ['bundle', 'you/parts', '-t', 'transformers-js', '-o', 'parts'];
  expect(await runCli(argv, { cwd, env })).toMatchObject({ code: 0 });
  expect(asked.splice(0)).toEqual([...parts, 'onnx/encoder_model.onnx_data', 'config.json']);
  for (const part of parts) expect(existsSync(join(cwd, 'parts', part))).toBe(true);
  await refused('you/parts', /holds no model\.onnx .*but .*name the \.onnx file itself/);
  expect(asked).toEqual([]);
});

it('fetches the file that is named, with its data', async () => {
  expect(await parameters('you/parts/onnx/encoder_model_q4.onnx')).toBe(167_006);
  expect(asked.splice(0)).toEqual(['onnx/encoder_model_q4.onnx', 'onnx/encoder_model_q4.onnx_data', 'config.json']);
  expect(await parameters('you/parts/onnx/decoder_model.onnx')).toBe(167_006);
  expect(asked.splice(0)).toEqual(['onnx/decoder_model.onnx', 'config.json']);
  expect(await parameters('you/elsewhere/v2/net.onnx')).toBe(167_006);
  expect(asked.splice(0)).toEqual(['v2/net.onnx', 'v2/net.onnx.data', 'tokenizer.json']);
  expect(await parameters('you/parts/onnx/encoder_model_q4.onnx')).toBe(167_006);
  expect(asked).toEqual([]);
});

it('says what a repository has in place of a model', async () => {
  await refused('you/weights', /"you\/weights" has no ONNX file; export it/);
  await refused('you/elsewhere', /has no model\.onnx, but you\/elsewhere\/v2\/net\.onnx; name/);
  await refused('you/elsewhere/net.onnx', /has no net\.onnx, but you\/elsewhere\/v2\/net\.onnx/);
  // A path that begins here is meant as one.
  mkdirSync(join(cwd, 'mine'));
  await refused('mine/a/b.onnx', /there is no model at "mine\/a\/b\.onnx"/);
});
