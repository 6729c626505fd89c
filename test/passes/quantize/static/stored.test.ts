import { expect, it } from 'vitest';
import { fused, head } from './support.ts';

/** A convolution that stays in float, since others are asked for, before a product on integers. */
const text = head(
  13,
  `g (float[1,8,8,8] x) => (float[1,5] y) <float[8,8,3,3] w = random(1), float[8,5] m = random(2)>
    { c = Conv <pads = [1,1,1,1]> (x, w)  r = Relu (c)  p = GlobalAveragePool (r)  f = Flatten (p)  y = MatMul (f, m) }`,
);
const ops = ['MatMul'];

it('stores weights of what stays in float in 8 bits where that is asked for', async () => {
  const plain = await fused(text, { ops });
  expect(plain.counts).toMatchObject({ weighted: 1 });
  expect(plain.counts).not.toHaveProperty('stored');
  const stored = await fused(text, { ops, stored: true });
  expect(stored.counts).toMatchObject({ weighted: 1, stored: 1 });
  expect(stored.problems).toEqual([]);
  const weights = new Map(
    [...stored.after.graph.initializers].map(({ name, initializer }) => [name, initializer?.dtype]),
  );
  expect(weights.get('w')).toBeUndefined();
  expect(weights.get('w_quantized')).toBe('int8');
  // The convolution is still one in float, the product the only one on integers.
  expect(stored.audit.fusedOps).toEqual(plain.audit.fusedOps);
  expect(stored.db).toBeGreaterThan(30);
  expect(Math.abs(stored.db - plain.db)).toBeLessThan(6);
});

it('leaves alone what is to stay as it is, and weights that run on integers', async () => {
  expect((await fused(text, { ops, stored: true, keep: ['Conv'] })).counts).not.toHaveProperty('stored');
  const all = await fused(text, { stored: true });
  expect(all.counts).toMatchObject({ weighted: 2 });
  expect(all.counts).not.toHaveProperty('stored');
});
