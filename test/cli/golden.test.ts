import { afterEach, describe, expect, it } from 'vitest';
import { goldenProblem, toGolden } from '../../src/cli/golden.ts';
import { openSession, type Session } from '../../src/engine/session.ts';
import { tinyModel } from '../../src/engine/tiny-model.ts';
import { stringTensor, tensorFrom } from '../../src/ir/tensor.ts';
import type { GoldenCase } from '../../src/target/target.ts';

let session: Session | undefined;
afterEach(async () => {
  await session?.dispose();
  session = undefined;
});

const { bytes, feeds, expected } = tinyModel();
const y = (values: readonly number[], shape = [1, 4]) =>
  toGolden('y', tensorFrom('float32', shape, Float32Array.from(values)));
const golden = (output: ReturnType<typeof y>, rtol = 1e-4): GoldenCase => ({
  inputs: [...feeds].map(([name, tensor]) => toGolden(name, tensor)),
  outputs: [output],
  tolerance: { rtol, atol: 1e-6 },
});

describe.each(['cpu', 'web-wasm'])('golden cases through a session on %s', (provider) => {
  it('passes what is right and names the first element that is not', async () => {
    session = await openSession(bytes, { provider });
    expect(await goldenProblem(session, [golden(y(expected))])).toBeUndefined();
    // 0.6 is 10 % of the largest magnitude.
    const off = y([2, 0.6, 6, 0]);
    expect(await goldenProblem(session, [golden(off, 0.11)])).toBeUndefined();
    expect(await goldenProblem(session, [golden(y(expected)), golden(off, 0.09)])).toMatch(
      /^output "y" has 0 at element 1 instead of 0\.6/,
    );
    // An output's own tolerance goes before the case's.
    const own = { ...off, tolerance: { rtol: 0, atol: 0.7 } };
    expect(await goldenProblem(session, [golden(own, 0)])).toBeUndefined();
    expect(await goldenProblem(session, [golden({ ...own, tolerance: { rtol: 0, atol: 0.5 } }, 1)])).toMatch(
      /^output "y" has 0/,
    );
    expect(await goldenProblem(session, [golden(y(expected, [4]))])).toBe('output "y" is [1, 4] instead of [4]');
    expect(await goldenProblem(session, [golden({ ...y(expected), name: 'z' })])).toBe('output "z" is missing');
  });
});

it('strings in golden tensors carry their lengths', () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const tensor = toGolden('s', stringTensor([2], [text('ü'), text('')]));
  expect([...tensor.bytes]).toEqual([2, 0, 0, 0, 0xc3, 0xbc, 0, 0, 0, 0]);
});
