import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { throughput } from '../../src/engine/throughput.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';

/** The first process is killed as soon as it is ready; the second begins when that one is gone. */
vi.mock('node:child_process', async (original) => {
  const real = await original<typeof import('node:child_process')>();
  let first: ChildProcess | undefined;
  const fork = (...given: Parameters<typeof real.fork>): ChildProcess => {
    const child = real.fork(...given);
    if (first) {
      child.kill('SIGSTOP');
      first.on('close', () => void setTimeout(() => child.kill('SIGCONT'), 20));
    } else {
      first = child;
      child.on('message', () => void child.kill('SIGKILL'));
    }
    return child;
  };
  return { ...real, fork };
});

const digits = fileURLToPath(new URL('../../models/digits/model.onnx', import.meta.url));

it('says that a process died while it waited for the others', async () => {
  const image = new Map([['image', tensorFrom('float32', [1, 1, 28, 28], new Float32Array(784))]]);
  await expect(throughput(digits, image, { concurrency: 2, runMs: 50, warmMs: 20 })).rejects.toThrow(
    'a process that ran the model died (SIGKILL)',
  );
});
