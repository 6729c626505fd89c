import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BrowserHost, isSoftware } from '../../src/engine/browser/host.ts';
import type { PageSession } from '../../src/engine/browser/session.ts';
import { packTensors, unpackTensors } from '../../src/engine/browser/wire.ts';
import { openSession } from '../../src/engine/session.ts';
import { tinyModel } from '../../src/engine/tiny-model.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { stringTensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { saveModel } from '../../src/onnx/save.ts';
import { findChromium, launchChromium } from '../../src/target/chromium.ts';

test('tensors survive the wire', () => {
  const tensors = new Map([
    ['a', tensorFrom('float16', [3], Uint16Array.of(1, 0x7c00, 3))],
    ['b', tensorFrom('int64', [2], BigInt64Array.of(-(2n ** 62n), 5n))],
    ['s', stringTensor([1], [new TextEncoder().encode('ü')])],
    ['e', tensorFrom('float32', [0, 2], new Float32Array(0))],
  ]);
  const back = unpackTensors(packTensors(tensors));
  for (const [name, tensor] of tensors) {
    expect(back.get(name)?.shape).toEqual(tensor.shape);
    expect([...(back.get(name)?.bytes() ?? [])]).toEqual([...tensor.bytes()]);
    expect(back.get(name)?.strings?.()).toEqual(tensor.strings?.());
  }
});

test('software adapters are known by their names', () => {
  for (const name of ['google swiftshader', 'llvmpipe (LLVM 15)', 'Microsoft Basic Render Driver'])
    expect(isSoftware(name)).toBe(true);
  for (const name of ['nvidia ampere', 'apple common-3', undefined]) expect(isSoftware(name)).toBe(false);
});

describe.skipIf(findChromium() === undefined)('sessions in a page (skipped without Chromium)', () => {
  let host: BrowserHost;
  let dir: string;
  beforeAll(async () => {
    host = new BrowserHost({ launch: ({ software }) => launchChromium(undefined, { software }) });
    dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
  });
  afterAll(async () => {
    await host.close();
    await rm(dir, { recursive: true, force: true });
  });

  test('an inference shorter than steps of the clock is timed by its share of several', async () => {
    const { bytes, feeds } = tinyModel();
    const session = (await openSession(bytes, { provider: 'web-wasm', browser: host })) as PageSession;
    const time = session.timer(feeds);
    await time({ count: 500, settleMs: 20 });
    const times = await time({ count: 2000, settleMs: 4 });
    await session.dispose();
    expect(times).toHaveLength(2000);
    expect(Math.min(...times)).toBeGreaterThan(0);
    // One by one they are whole steps of 5 µs (of 100 on pages that are not isolated): 0, 5 or 10.
    const wholeSteps = times.filter((ms) => Math.abs(ms / 0.005 - Math.round(ms / 0.005)) < 0.01);
    expect(wholeSteps.length).toBeLessThan(1000);
  }, 60_000);

  test.each(['web-wasm', 'web-wasm:threads=2', 'web-webgpu'])(
    '%s computes, times, and says where',
    async (provider) => {
      const { bytes, feeds, expected } = tinyModel();
      const session = (await openSession(bytes, { provider, browser: host, placement: true })) as PageSession;
      expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: [1, 4] }]);
      const y = (await session.run(feeds)).get('y');
      expect([...new Float32Array(y?.bytes().slice().buffer ?? new ArrayBuffer(0))]).toEqual([...expected]);
      const times = await session.timer(feeds)({ count: 4, settleMs: 2 });
      expect(times).toHaveLength(4);
      const [id = '', threads = '1'] = provider.split(':threads=');
      expect(Object.keys(session.placement?.nodes ?? {})).toEqual([id === 'web-wasm' ? 'cpu' : 'webgpu']);
      expect(host.info(id, Number(threads))?.runtime).toMatch(/^onnxruntime-web \d.* in Chromium \d/);
      await session.dispose();
      await session.dispose();
    },
  );

  test('says what the runtime or the inputs lack, and takes external data along', async () => {
    const web = { provider: 'web-wasm', browser: host };
    const bad = new Graph('g');
    const x = bad.addInput('x', tensorType('float32', ['n']));
    bad.addOutput(bad.append('Reluu', { inputs: [x], outputs: ['y'], types: [tensorType('float32', ['n'])] }).output());
    await expect(openSession(encodeModel(new Model(bad, 17, 8)), web)).rejects.toThrow('Reluu');
    const graph = new Graph('g');
    const a = graph.addInput('a', tensorType('float32', ['n', 4]));
    const w = graph.addInitializer('w', tensorFrom('float32', [4, 300], new Float32Array(1200).fill(2)));
    graph.addOutput(
      graph.append('MatMul', { inputs: [a, w], outputs: ['y'], types: [tensorType('float32', ['n', 300])] }).output(),
    );
    const path = join(dir, 'model.onnx');
    await saveModel(new Model(graph, 17, 8), path, { externalData: 'always' });
    const session = await openSession(path, web);
    const y = (await session.run(new Map([['a', tensorOf('float32', [1, 4], [1, 2, 3, 4])]]))).get('y');
    expect(new Float32Array(y?.bytes().slice().buffer ?? new ArrayBuffer(0))[299]).toBe(20);
    await expect(session.run(new Map())).rejects.toThrow('needs an input "a"');
    await session.dispose();
  });

  test('a page that crashes costs one answer, and the next page works', async () => {
    const { bytes, feeds } = tinyModel();
    const web = { provider: 'web-wasm', browser: host, label: 'm.onnx' };
    const session = await openSession(bytes, web);
    const page = await host.page('web-wasm');
    const crash = page.crash();
    await expect(session.run(feeds)).rejects.toThrow(/m\.onnx crashed the page that ran it|closed/);
    await crash;
    await session.dispose();
    const next = await openSession(bytes, web);
    expect((await next.run(feeds)).size).toBe(1);
    await next.dispose();
  });
});
