import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeArtifact } from '../../src/cli/artifact.ts';
import { goldenProblem, toGolden } from '../../src/cli/golden.ts';
import { openSession, type Session } from '../../src/engine/session.ts';
import { tinyModel } from '../../src/engine/tiny-model.ts';
import { stringTensor, tensorFrom } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import type { GoldenCase } from '../../src/target/target.ts';
import { tempDir } from '../targets/support/temp.ts';

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

it('class ids are not right because they are near', async () => {
  // Half precision, whose outputs may differ by 1 %: of the id 700 that is 7.
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[n,4] x) => (int64[n] id, float[n,1000] scores)
<float16[4,1000] w = random(1, -1, 1), float[1000] late = random(2, 0, 1)>
{
  wide = Cast <to = 1> (w)
  y = MatMul (x, wide)
  scores = Add (y, late)
  id = ArgMax <axis = 1, keepdims = 0> (scores)
}`);
  const file = join(await tempDir(), 'ids.onnx');
  await writeFile(file, encodeModel(model));
  const signal = new AbortController().signal;
  const options = {
    name: 'ids',
    variant: 'given',
    file,
    dataset: undefined,
    seed: 7,
    shapes: [],
    wantsGraph: false,
    signal,
  };
  const { golden } = await makeArtifact(options);
  expect(golden[0]?.tolerance.rtol).toBe(1e-2);
  const ids = golden.map(({ outputs }) => outputs.find(({ name }) => name === 'id'));
  const exact = ids.filter((one) => one?.tolerance !== undefined);
  expect(exact.length).toBeGreaterThan(0);
  for (const one of exact) expect(one?.tolerance).toEqual({ rtol: 0, atol: 0 });
  for (const { outputs } of golden) expect(outputs.find(({ name }) => name === 'scores')?.tolerance).toBeUndefined();
  session = await openSession(file);
  const cases = golden.filter((_, n) => ids[n]?.tolerance !== undefined);
  expect(await goldenProblem(session, cases)).toBeUndefined();
  const near = cases.map((one) => ({
    ...one,
    outputs: one.outputs.map((output) => {
      if (output.name !== 'id') return output;
      const [id = 0n] = new BigInt64Array(Uint8Array.from(output.bytes).buffer);
      return { ...output, bytes: new Uint8Array(BigInt64Array.of(id === 0n ? 1n : id - 1n).buffer) };
    }),
  }));
  for (const one of near)
    expect(await goldenProblem(session, [one])).toMatch(/^output "id" has \d+ at element 0 instead of \d+/);
});
