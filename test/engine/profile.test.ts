import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { agreeAcross, outputSteps } from '../../src/engine/agreement.ts';
import { sizeDims } from '../../src/engine/feed-shapes.ts';
import { mergeTraces, parseTrace, profile, readProfile, traceStart } from '../../src/engine/profile.ts';
import type { Session } from '../../src/engine/session.ts';
import { throughput } from '../../src/engine/throughput.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { type Tensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { saveModel } from '../../src/onnx/save.ts';

const digits = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));
const image = new Map([['image', tensorFrom('float32', [1, 1, 28, 28], new Float32Array(784).fill(0.5))]]);

describe('the profile of a file', () => {
  test('says what operators take and where they ran, and opens as a trace', async () => {
    const { ops, placement, events } = await profile(digits, image, { provider: 'cpu' });
    expect(ops[0]?.op).toBe('Conv');
    expect(ops.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
    expect(ops.map(({ ms }) => ms)).toEqual(ops.map(({ ms }) => ms).toSorted((a, b) => b - a));
    expect(placement.fallbacks).toEqual([]);
    expect(placement.nodes).toEqual({ cpu: ops.reduce((sum, { nodes }) => sum + nodes, 0) });
    const text = mergeTraces([
      { name: 'a', events },
      { name: 'b', events },
    ]);
    expect(text.startsWith(traceStart)).toBe(true);
    const trace = JSON.parse(text) as { pid: number; ph: string }[];
    expect(trace.filter(({ ph }) => ph === 'M')).toHaveLength(2);
    expect(new Set(trace.map(({ pid }) => pid))).toEqual(new Set([1, 2]));
  });

  test('is read whatever nodes are called', async () => {
    const name = 'say "hi" \\ \n { é';
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float32', [2]));
    const softmax = graph.append('Softmax', { inputs: [x], name });
    graph.addOutput(softmax.output());
    const dir = await mkdtemp(join(tmpdir(), 'mlpack-profile-test-'));
    try {
      const file = join(dir, 'm.onnx');
      await saveModel(new Model(graph, 17, 8), file);
      const { events, ops } = await profile(
        file,
        new Map([['x', tensorFrom('float32', [2], new Float32Array(2))]]),
        {},
      );
      expect(ops[0]?.op).toBe('Softmax');
      expect(events.some((event) => event.name === `${name}_kernel_time`)).toBe(true);
    } finally {
      await rm(dir, { recursive: true });
    }
    expect(() => parseTrace('[{"name" :"x","args" : {')).toThrow("the runtime's profile cannot be read");
  });

  test('counts the nodes in a body once: what a Loop takes beside them is its own', () => {
    const event = (name: string, op: string, ts: number, dur: number, cat = 'Node') => ({
      name,
      cat,
      ts,
      dur,
      ph: 'X',
      pid: 1,
      tid: 1,
      args: { op_name: op, provider: 'CPUExecutionProvider', node_index: name },
    });
    const events = [
      event('model_run', '', 0, 200, 'Session'),
      event('m_kernel_time', 'MatMul', 10, 30),
      event('i_kernel_time', 'If', 40, 40),
      event('t_kernel_time', 'Tanh', 40, 40),
      event('l_kernel_time', 'Loop', 10, 100),
      event('n_kernel_time', 'MatMul', 110, 20),
    ];
    expect(readProfile(events, 'cpu', 0).ops.map(({ op, ms }) => [op, ms])).toEqual([
      ['MatMul', 0.05],
      ['Tanh', 0.04],
      ['Loop', 0.03],
      ['If', 0],
    ]);
  });

  test('leaves out the first inferences', () => {
    const event = (name: string, cat: string, ts: number, dur: number, args = {}) => ({
      name,
      cat,
      ts,
      dur,
      ph: 'X',
      pid: 1,
      tid: 1,
      args,
    });
    const conv = { op_name: 'Conv', provider: 'CUDAExecutionProvider', node_index: '0' };
    const shape = { op_name: 'Shape', provider: 'CPUExecutionProvider', node_index: '1' };
    const events = [
      event('model_run', 'Session', 0, 1000),
      event('a_kernel_time', 'Node', 10, 900, conv),
      event('model_run', 'Session', 2000, 100),
      event('a_kernel_time', 'Node', 2010, 30, conv),
      event('b_kernel_time', 'Node', 2050, 10, shape),
    ];
    expect(readProfile(events, 'cuda:device=1', 1)).toMatchObject({
      ops: [
        { op: 'Conv', provider: 'cuda', nodes: 1, ms: 0.03, share: 0.75 },
        { op: 'Shape', provider: 'cpu', nodes: 1, ms: 0.01, share: 0.25 },
      ],
      placement: { nodes: { cuda: 1, cpu: 1 }, fallbacks: [{ node: 'b', op: 'Shape', provider: 'cpu' }] },
    });
  });
});

describe('throughput', () => {
  test('comes from processes that run at the same time', async () => {
    const two = await throughput(digits, image, { concurrency: 2, runMs: 150, warmMs: 20 });
    expect(two.concurrency).toBe(2);
    expect(two.inferencesPerSecond).toBeGreaterThan(20);
    expect(two.p50).toBeGreaterThan(0);
  });

  test('says why a process cannot run the file', async () => {
    await expect(throughput('/nowhere.onnx', image, { concurrency: 1 })).rejects.toThrow('nowhere.onnx');
  });
});

/** x → y of float values with the given outputs. */
function giving(values: readonly number[]): Session {
  const y: Tensor = tensorOf('float32', [1, values.length], values);
  return {
    provider: 'cpu',
    inputs: [],
    outputs: [{ name: 'y', dtype: 'float32', shape: [1, values.length] }],
    createMs: 1,
    run: async () => new Map([['y', y]]),
    timer: () => async () => [],
    dispose: async () => undefined,
  };
}

describe('agreement across runtimes', () => {
  test('counts classes and steps of the last quantization', async () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('uint8', [1, 3]));
    const scale = graph.addInitializer('s', tensorFrom('float32', [], Float32Array.of(0.25)));
    const dq = graph.append('DequantizeLinear', {
      inputs: [x, scale],
      outputs: ['d'],
      types: [tensorType('float32', [1, 3])],
    });
    const out = graph.append('Identity', {
      inputs: [dq.output()],
      outputs: ['y'],
      types: [tensorType('float32', [1, 3])],
    });
    graph.addOutput(out.output());
    const steps = outputSteps(new Model(graph, 17, 8));
    expect(steps).toEqual(new Map([['y', 0.25]]));
    const batches = [{ feeds: new Map(), size: 1 }];
    const close = await agreeAcross(giving([1, 2, 3]), giving([1.25, 2, 3]), batches, steps);
    expect(close).toMatchObject({ samples: 1, agreement: 1, maxAbs: 0.25, maxSteps: 1 });
    const other = await agreeAcross(giving([1, 2, 3]), giving([4, 2, 3]), batches, new Map());
    expect(other).toMatchObject({ agreement: 0, maxAbs: 3 });
    expect(other).not.toHaveProperty('maxSteps');
    expect((await agreeAcross(giving([1, 2]), giving([1, 2]), batches, steps)).sqnrDb).toBeNull();
  });
});

describe('batch sizes and sequence lengths', () => {
  const model = (...shapes: (string | number)[][]): Model => {
    const graph = new Graph('g');
    for (const [at, shape] of shapes.entries()) graph.addInput(`x${at}`, tensorType('int64', shape));
    return new Model(graph, 17, 8);
  };
  test('bind the open dimensions by their names and places', () => {
    const text = model(['batch', 'seq'], ['batch', 'past_len', 4]);
    expect(sizeDims(text, { batch: 8, sequence: 128 })).toEqual({ dims: { batch: 8, seq: 128 } });
    expect(sizeDims(model(['rows', 4]), { batch: 2 })).toEqual({ dims: { rows: 2 } });
    expect(() => sizeDims(model([1, 4]), { batch: 2 })).toThrow("the model's batch is fixed (x0 [1, 4])");
    expect(() => sizeDims(model(['n', 4]), { sequence: 2 })).toThrow(
      'no input of the model has an open sequence dimension',
    );
  });
});
