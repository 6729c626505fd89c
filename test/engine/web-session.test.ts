import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDataset } from '../../src/data/open-dataset.ts';
import { bench, benchSessionExtra } from '../../src/engine/bench.ts';
import { compare, toFidelity } from '../../src/engine/compare.ts';
import { evaluate } from '../../src/engine/evaluate.ts';
import { probe } from '../../src/engine/isolated.ts';
import { openSession } from '../../src/engine/session.ts';
import { tinyModel } from '../../src/engine/tiny-model.ts';
import { UserError } from '../../src/errors.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { saveModel } from '../../src/onnx/save.ts';

const web = { provider: 'web-wasm' } as const;
const digits = fileURLToPath(new URL('../../models/digits', import.meta.url));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** y = x · w with w float32[4, 300]. */
function product(): Model {
  const graph = new Graph('g');
  const x = graph.addInput('x', tensorType('float32', ['n', 4]));
  const w = graph.addInitializer('w', tensorFrom('float32', [4, 300], new Float32Array(1200).fill(2)));
  const y = graph.append('MatMul', { inputs: [x, w], outputs: ['y'], types: [tensorType('float32', ['n', 300])] });
  graph.addOutput(y.output());
  return new Model(graph, 17, 8);
}
const feeds = new Map([['x', tensorOf('float32', [1, 4], [1, 2, 3, 4])]]);

describe('a session on web-wasm', () => {
  test('has the same face as a native one', async () => {
    const { bytes, feeds: x, expected } = tinyModel();
    const session = await openSession(bytes, web);
    expect(session.provider).toBe('web-wasm');
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: [1, 4] }]);
    expect(session.outputs).toEqual([{ name: 'y', dtype: 'float32', shape: [1, 4] }]);
    const y = (await session.run(x)).get('y');
    expect([...new Float32Array(y?.bytes().slice().buffer ?? new ArrayBuffer(0))]).toEqual([...expected]);
    expect(await session.timer(x)({ count: 3, settleMs: 1 })).toHaveLength(3);
    await session.dispose();
    await session.dispose();
  });

  test('leaves nameless dimensions open', async () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float32', [undefined, 'n', 2]));
    graph.addOutput(graph.append('Relu', { inputs: [x], outputs: ['y'], types: [tensorType('float32')] }).output());
    const session = await openSession(encodeModel(new Model(graph, 17, 8)), web);
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: [null, 'n', 2] }]);
    const y = (await session.run(new Map([['x', tensorOf('float32', [1, 1, 2], [-1, 3])]]))).get('y');
    expect(y?.shape).toEqual([1, 1, 2]);
    await session.dispose();
  });

  test('passes 64-bit integers, halves, bools and empty tensors bit by bit', async () => {
    for (const tensor of [
      tensorFrom('int64', [2], BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n)),
      tensorFrom('float16', [3], Uint16Array.of(0x3c00, 0x7c00, 0x0001)),
      tensorOf('bool', [2], [1, 0]),
      tensorFrom('float32', [0, 3], new Float32Array(0)),
    ]) {
      const graph = new Graph('g');
      const type = tensorType(
        tensor.dtype,
        tensor.shape.map((_, axis) => `d${axis}`),
      );
      const x = graph.addInput('x', type);
      graph.addOutput(graph.append('Identity', { inputs: [x], outputs: ['y'], types: [type] }).output());
      const session = await openSession(encodeModel(new Model(graph, 17, 8)), web);
      const y = (await session.run(new Map([['x', tensor]]))).get('y');
      expect(y?.dtype).toBe(tensor.dtype);
      expect(y?.shape).toEqual(tensor.shape);
      expect([...(y?.bytes() ?? [])]).toEqual([...tensor.bytes()]);
      await session.dispose();
    }
  });

  test.each(['path', 'bytes'] as const)('takes external data with it (model given as %s)', async (how) => {
    const path = join(dir, how, 'model.onnx');
    const { mkdir, readFile } = await import('node:fs/promises');
    await mkdir(join(dir, how));
    await saveModel(product(), path, { externalData: 'always' });
    const session = await (how === 'path'
      ? openSession(path, web)
      : openSession(await readFile(path), { ...web, modelDir: join(dir, how) }));
    const y = (await session.run(feeds)).get('y');
    expect([...new Float32Array(y?.bytes().slice().buffer ?? new ArrayBuffer(0))]).toEqual(Array(300).fill(20));
    await session.dispose();
  });

  test('agrees with the CPU provider on digits, side by side in one process', async () => {
    const dataset = await openDataset(join(digits, 'eval'));
    const native = await openSession(join(digits, 'model.onnx'));
    const session = await openSession(join(digits, 'model.onnx'), web);
    try {
      const batches = dataset.batches({ inputs: native.inputs, samples: 64 });
      const fidelity = toFidelity(await compare(native, session, batches));
      expect(fidelity.samples).toBe(64);
      expect(fidelity.agreement).toBe(1);
      expect(fidelity.sqnrDb ?? Number.POSITIVE_INFINITY).toBeGreaterThan(90);
      const judged = await evaluate(session, dataset, { samples: 64 });
      expect(judged.value).toBe((await evaluate(native, dataset, { samples: 64 })).value);
    } finally {
      await native.dispose();
      await session.dispose();
      await dataset.close();
    }
  });

  test('can be timed, and tried in a child process', async () => {
    const bytes = encodeModel(product());
    const [a, b] = [
      await openSession(bytes, { ...web, extra: benchSessionExtra }),
      await openSession(bytes, { ...web, extra: benchSessionExtra }),
    ];
    const report = await bench(
      [
        { name: 'a', session: a },
        { name: 'b', session: b },
      ],
      feeds,
      { timeMs: 30 },
    );
    expect(report.results.map(({ name, latency }) => [name, latency.p50 > 0])).toEqual([
      ['a', true],
      ['b', true],
    ]);
    await a.dispose();
    await b.dispose();
    expect(await probe(bytes, feeds, web)).toMatchObject({ ok: true });
  });
});

describe('what goes wrong on web-wasm', () => {
  test('models it cannot load', async () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float32', ['n']));
    graph.addOutput(graph.append('Foo', { name: 'the/node', inputs: [x], outputs: ['y'] }).output());
    const promise = openSession(encodeModel(new Model(graph, 17, 8)), { ...web, label: 'm.onnx' });
    await expect(promise).rejects.toThrow('ONNX Runtime (web-wasm) cannot load m.onnx: No Op registered for Foo');
    await expect(promise).rejects.toBeInstanceOf(UserError);
  });

  test('session options are handed on', async () => {
    const options = { ...web, extra: { 'session.load_model_format': 'ORT' } };
    await expect(openSession(encodeModel(product()), options)).rejects.toThrow(/cannot load the model: .*ORT/);
  });

  test('inputs that do not fit', async () => {
    const session = await openSession(encodeModel(product()), { ...web, label: 'm.onnx' });
    const run = session.run(new Map([['x', tensorOf('float32', [1, 2], [1, 2])]]));
    await expect(run).rejects.toThrow('Input "x" of m.onnx is float32[n, 4], but was given float32[1, 2].');
    await session.dispose();
  });

  test('a node that fails at run time', async () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float32', ['n']));
    const shape = graph.addInput('shape', tensorType('int64', [1]));
    const node = graph.append('Reshape', { name: 'the/node', inputs: [x, shape], outputs: ['y'] });
    graph.addOutput(node.output());
    node.output().type = tensorType('float32', ['m']);
    const session = await openSession(encodeModel(new Model(graph, 17, 8)), web);
    const wrong = new Map([
      ['x', tensorOf('float32', [2], [1, 2])],
      ['shape', tensorFrom('int64', [1], BigInt64Array.of(5n))],
    ]);
    await expect(session.run(wrong)).rejects.toThrow(
      /^Running the model failed: The input tensor cannot be reshaped to the requested shape/,
    );
    const right = await session.run(new Map([...wrong, ['shape', tensorFrom('int64', [1], BigInt64Array.of(2n))]]));
    expect(right.get('y')?.shape).toEqual([2]);
    await session.dispose();
  });

  test('another number of threads than the process started with', async () => {
    await (await openSession(encodeModel(product()), web)).dispose();
    await expect(openSession(encodeModel(product()), { ...web, threads: 3 })).rejects.toThrow(
      'WebAssembly already runs with 1 threads in this process; 3 take another process.',
    );
  });

  test('web-webgpu says what can be measured instead', async () => {
    await expect(openSession(encodeModel(product()), { provider: 'web-webgpu' })).rejects.toThrow(
      'or measure web-wasm, which runs without',
    );
  });
});
