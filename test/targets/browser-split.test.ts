import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { webFunctionsRun } from '../../src/engine/web-profile.ts';
import { tensorFromBytes } from '../../src/ir/tensor.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';
import { dependencyFile } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import { splitModule } from '../../src/wasm/split.ts';
import { browser as target } from '../../targets/browser/index.ts';
import { splitRuntimeOf } from '../../targets/browser/runtime-files.ts';
import { threadFunctions } from '../../targets/browser/thread-functions.ts';
import { classifier, makeArtifact } from './support/artifact.ts';
import { type HostileServer, startHostile } from './support/hostile-server.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const chromium = findChromium();
if (chromium === undefined) note('no Chromium on this machine: the runtime in two parts is not tested in a browser');
const dir = await tempDir();

interface Outcome {
  readonly error?: readonly [code: string, message: string];
  readonly scores?: Readonly<Record<string, number>>;
}

const image = new Float32Array(288).map((_, n) => Math.sin(n));

const place = (name: string): string => dependencyFile('onnxruntime-web', ortVersion, `dist/${name}`).place;
const runtime = {
  script: place('ort.node.min.mjs'),
  mjs: place('ort-wasm-simd-threaded.mjs'),
  wasm: place('ort-wasm-simd-threaded.wasm'),
};

describe.skipIf(chromium === undefined)('the runtime in two parts, in Chromium', () => {
  let chrome: Browser;
  let artifact: Artifact;
  let context: BrowserContext;
  /** What the model was seen to need; nothing at all; and what it needs on one thread. */
  const servers: Record<'seen' | 'nothing' | 'alone', HostileServer | undefined> = {
    seen: undefined,
    nothing: undefined,
    alone: undefined,
  };
  const of = (name: keyof typeof servers): HostileServer => {
    const server = servers[name];
    if (!server) throw new Error(`the server "${name}" has not started`);
    return server;
  };

  async function bundle(name: keyof typeof servers, run?: readonly number[]): Promise<void> {
    const workshop = artifact.workshop && { ...artifact.workshop, ...(run && { webFunctionsRun: async () => run }) };
    await buildBundle(target, { ...artifact, ...(workshop && { workshop }) }, { provider: 'wasm' }, join(dir, name));
    servers[name] = await startHostile(join(dir, name));
    of(name).isolates = true;
  }

  async function page(name: keyof typeof servers): Promise<Page> {
    context = await chrome.newContext();
    const made = await context.newPage();
    await made.goto(`${of(name).url}/mlpack-model/runtime/LICENSE.txt`);
    return made;
  }

  /** Loads and runs a batch; then waits for `after`. */
  const predict = (on: Page, options: object, batch = 2, after = ''): Promise<Outcome> =>
    on.evaluate<Outcome>(`import('/mlpack-model/index.js').then(async ({ load }) => {
      try {
        const model = await load(${JSON.stringify(options)});
        const data = new Float32Array(${batch * 144}).map((_, n) => Math.sin(n));
        const { scores } = await model.run({ image: { data, dims: [${batch}, 1, 12, 12] } });
        ${after}
        await model.dispose();
        return { scores: { ...scores.data } };
      } catch (error) { return { error: [error.code, error.message] }; }
    })`);

  /** How parts of the runtime were fetched. */
  const fetched = (name: keyof typeof servers): string[] =>
    of(name).sent.flatMap(({ method, path }) =>
      method === 'GET' ? (/(?:first|rest)\.wasm(?:\.gzip)?$/.exec(path) ?? []) : [],
    );

  beforeAll(async () => {
    artifact = await makeArtifact(dir, classifier, [{ image: new Tensor('float32', image, [2, 1, 12, 12]) }]);
    const feeds = [new Map([['image', tensorFromBytes('float32', [2, 1, 12, 12], new Uint8Array(image.buffer))]])];
    const alone = { file: artifact.files[0]?.source ?? '', extra: {}, feeds, others: [] };
    await Promise.all([bundle('seen'), bundle('nothing', []), bundle('alone', [])]);
    // What threads need is in the first part always; here it is not.
    const run = new Set(await webFunctionsRun(runtime, [alone], new AbortController().signal, [1]));
    const { primary, rest, loader } = splitModule(new Uint8Array(await readFile(runtime.wasm)), (n) => run.has(n));
    const { entry, files } = splitRuntimeOf({ first: primary, rest, loader });
    for (const file of files) if ('bytes' in file) await writeFile(join(dir, 'alone', file.path), file.bytes);
    const description = join(dir, 'alone/mlpack-model/model.json');
    const text = JSON.parse(await readFile(description, 'utf8'));
    await writeFile(description, JSON.stringify({ ...text, runtimes: { wasm: entry } }));
    chrome = await launchChromium();
  });
  afterEach(async () => {
    for (const one of Object.values(servers)) Object.assign(one ?? {}, { faults: [], sent: [] });
    await context?.close();
  });
  afterAll(async () => {
    await chrome?.close();
    for (const one of Object.values(servers)) await one?.close();
  });

  function expectRight({ error, scores }: Outcome): void {
    expect(error).toBeUndefined();
    const expected = new Float32Array(new Uint8Array(artifact.golden[0]?.outputs[0]?.bytes ?? []).buffer);
    for (const [n, value] of Object.values(scores ?? {}).entries())
      expect(value).toBeCloseTo(expected[n] ?? Number.NaN, 4);
    expect(Object.keys(scores ?? {})).toHaveLength(expected.length);
  }

  it('predicts with the first part alone, fetches the rest when there is time, and keeps both', async () => {
    const on = await page('seen');
    for (const threads of [1, 2]) {
      expectRight(await predict(on, { threads }));
      // Another batch, and what is refused: as when the bundle was made, or with the rest.
      expect((await predict(on, { threads }, 1)).error).toBeUndefined();
    }
    expect(fetched('seen')).toEqual(['first.wasm.gzip']);
    const rest = `while (!(await (await caches.open('mlpack /mlpack-model/')).keys()).some(({ url }) => url.endsWith(last))) await new Promise((done) => setTimeout(done, 50));`;
    const { runtimes } = JSON.parse(await readFile(join(dir, 'seen/mlpack-model/model.json'), 'utf8'));
    const last = `const last = ${JSON.stringify(runtimes.wasm.rest.parts.at(-1))};`;
    expectRight(await predict(on, {}, 2, last + rest));
    expect(fetched('seen')).toEqual(['first.wasm.gzip', 'rest.wasm.gzip']);
    expectRight(await predict(on, {}, 2, last + rest));
    expect(fetched('seen')).toHaveLength(2);
  });

  it.each([
    ['on one thread', { threads: 1 }],
    ['on two threads', { threads: 2 }],
    ['in the page', { worker: false, threads: 1 }],
    ['in the page, on two threads', { worker: false, threads: 2 }],
  ])('gives the same when nothing that runs is in the first part, %s', async (_, options) => {
    const on = await page('nothing');
    expectRight(await predict(on, options));
    expect(fetched('nothing')).toContain('worker' in options ? 'rest.wasm.gzip' : 'rest.wasm');
  });

  it('lets a thread load the rest that it alone needs', async () => {
    const on = await page('alone');
    expectRight(await predict(on, { threads: 1 }));
    expect(fetched('alone')).toEqual(['first.wasm.gzip']);
    expectRight(await predict(on, { threads: 2 }));
    expect(fetched('alone')).toContain('rest.wasm');
  });

  it.each([
    ['nothing', 1],
    ['alone', 2],
  ] as const)('says that the rest is missing or damaged, and fetches it again once: %s, %i', async (name, threads) => {
    const on = await page(name);
    of(name).faults = [{ path: /rest\.wasm$/, status: 404 }];
    const missing = await predict(on, { threads });
    expect(missing.error?.[1]).toMatch(/rest of the runtime is needed, and .*rest\.wasm\?v=\w+ answers 404/);
    of(name).faults = [{ path: /rest\.wasm$/, flip: 1_000_000 }];
    expect((await predict(on, { threads })).error?.[1]).toMatch(/rest\.wasm\?v=\w+ is damaged/);
    of(name).faults = [{ path: /rest\.wasm$/, flip: 1_000_000, times: 1 }];
    expectRight(await predict(on, { threads }));
  });
});

it('knows what threads need of the version that is installed', async () => {
  const { sha256, numbers } = threadFunctions;
  expect(
    createHash('sha256')
      .update(await readFile(runtime.wasm))
      .digest('hex'),
    'run test/bench/web-threads.mjs',
  ).toBe(sha256);
  expect(numbers.length).toBeGreaterThan(100);
});

it('packs the runtime in one part where it could not be seen what the model needs, and says why', async () => {
  const made = await makeArtifact(dir, classifier, [{ image: new Tensor('float32', image, [2, 1, 12, 12]) }]);
  const { workshop } = made;
  if (!workshop) throw new Error('the artifact has no workshop');
  const webFunctionsRun = async (): Promise<number[]> => {
    throw new Error('the runtime ended with SIGKILL');
  };
  await buildBundle(
    target,
    { ...made, workshop: { ...workshop, webFunctionsRun } },
    { provider: 'wasm' },
    join(dir, 'one'),
  );
  expect(await readFile(join(dir, 'one/README.md'), 'utf8')).toContain(
    'The WebAssembly build is in one part: it could not be seen what base needs of it: the runtime ended with SIGKILL.',
  );
  const { runtimes } = JSON.parse(await readFile(join(dir, 'one/mlpack-model/model.json'), 'utf8'));
  expect(runtimes.wasm.rest).toBeUndefined();
});
