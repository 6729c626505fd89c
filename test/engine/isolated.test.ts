import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { probe } from '../../src/engine/isolated.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function unary(op: string, attrs = {}): Uint8Array {
  const graph = new Graph('g');
  const x = graph.addInput('x', tensorType('float32', ['n']));
  graph.addOutput(
    graph
      .append(op, { name: 'only', inputs: [x], outputs: ['y'], attrs, types: [tensorType('float32', ['n'])] })
      .output(),
  );
  return encodeModel(new Model(graph, 17, 8));
}

const feeds = new Map([['x', tensorFrom('float32', [2], Float32Array.of(-1, 2))]]);

describe('probing a model in a child process', () => {
  test('measures a model that works, from bytes and from a file', async () => {
    const path = join(dir, 'relu.onnx');
    writeFileSync(path, unary('Relu'));
    for (const model of [path, unary('Relu')]) {
      const result = await probe(model, feeds);
      expect(result).toMatchObject({ ok: true });
      if (!result.ok) continue;
      expect(result.sessionMs).toBeGreaterThan(0);
      expect(result.peakRssBytes).toBeGreaterThanOrEqual(result.baselineRssBytes);
      expect(result.baselineRssBytes).toBeGreaterThan(20e6);
    }
  });

  test('reports what the runtime says of a model it refuses', async () => {
    const result = await probe(unary('Reluu'), feeds);
    expect(result).toEqual({
      ok: false,
      crashed: false,
      why: 'ONNX Runtime cannot load the file: node "only" (Reluu): No Op registered for Reluu with domain_version of 17.',
    });
  });

  test('reports a failing inference', async () => {
    const result = await probe(unary('Relu'), new Map());
    expect(result).toMatchObject({ ok: false, crashed: false });
    expect(result.ok ? '' : result.why).toContain('needs an input "x"');
  });

  test('survives the death of the process', async () => {
    // A heap that is too small kills Node with an abort, as a crash inside the runtime does.
    const result = await probe(unary('Relu'), feeds, { env: { NODE_OPTIONS: '--max-old-space-size=1' } });
    expect(result).toMatchObject({ ok: false, crashed: true });
    expect(result.ok ? '' : result.why).toMatch(/^ONNX Runtime crashed while (starting|loading|running) it: SIG/);
  });

  test('gives up on a model that takes too long', async () => {
    const result = await probe(unary('Relu'), feeds, { timeoutMs: 1 });
    expect(result).toEqual({ ok: false, crashed: true, why: 'ONNX Runtime was still starting after 0.001 s.' });
  });

  test('stops when asked to', async () => {
    const stop = new AbortController();
    const running = probe(unary('Relu'), feeds, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
