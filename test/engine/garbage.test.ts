import { expect, test } from 'vitest';
import { Garbage } from '../../src/engine/garbage.ts';
import { stringTensor, tensorFrom } from '../../src/ir/tensor.ts';

test('memory of tensors is given back at once, those of text and without elements among them', () => {
  const garbage = new Garbage();
  try {
    const first = new Float32Array(64);
    const shared = new Float32Array(16);
    garbage.free([
      tensorFrom('float32', [64], first),
      tensorFrom('float32', [8], shared.subarray(0, 8)),
      tensorFrom('float32', [8], shared.subarray(8)),
      tensorFrom('float32', [0], new Float32Array(0)),
      stringTensor([1], [new TextEncoder().encode('a')]),
    ]);
    expect([first.byteLength, shared.byteLength]).toEqual([0, 0]);
    const kept = new Float32Array(4e6);
    garbage.drop([tensorFrom('float32', [4e6], kept)]);
    expect(kept.length).toBe(4e6);
  } finally {
    garbage.end();
  }
});
