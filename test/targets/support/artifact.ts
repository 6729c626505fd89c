import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { staticGraph } from '../../../src/cli/static-graph.ts';
import { createWorkshop } from '../../../src/cli/workshop.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import type { IoInfo } from '../../../src/report/report.ts';
import { packStrings } from '../../../src/target/golden.ts';
import type { Artifact, GoldenTensor } from '../../../src/target/target.ts';
import { keepFunctions } from './kept-functions.ts';

/** A picture classifier: [batch, 1, 12, 12] → 4 scores. */
export const classifier = `<ir_version: 8, opset_import: ["" : 17]>
main (float[batch,1,12,12] image) => (float[batch,4] scores)
<
  float[3,1,3,3] w = random(1, -0.5, 0.5),
  float[300,4] dense = random(2, -0.2, 0.2),
  float[4] bias = random(3, -0.1, 0.1)
>
{
  c = Conv (image, w)
  r = Relu (c)
  f = Flatten (r)
  scores = Gemm (f, dense, bias)
}`;

/** Every element type that goes over the wire, handed through, and one sum of two inputs that share a dimension. */
export const everyType = `<ir_version: 8, opset_import: ["" : 17]>
main (bool[n] bool_in, string[n] text_in, float16[n] half_in, double[n] double_in, int8[n] i8_in, int16[n] i16_in,
  int32[n] i32_in, int64[n] i64_in, uint8[n] u8_in, uint16[n] u16_in, uint32[n] u32_in, uint64[n] u64_in,
  float[n,2] a, float[n,2] b)
=> (bool[n] bool_out, string[n] text_out, float16[n] half_out, double[n] double_out, int8[n] i8_out, int16[n] i16_out,
  int32[n] i32_out, int64[n] i64_out, uint8[n] u8_out, uint16[n] u16_out, uint32[n] u32_out, uint64[n] u64_out,
  float[n,2] sum)
{
  bool_out = Identity (bool_in)
  text_out = Identity (text_in)
  half_out = Identity (half_in)
  double_out = Identity (double_in)
  i8_out = Identity (i8_in)
  i16_out = Identity (i16_in)
  i32_out = Identity (i32_in)
  i64_out = Identity (i64_in)
  u8_out = Identity (u8_in)
  u16_out = Identity (u16_in)
  u32_out = Identity (u32_in)
  u64_out = Identity (u64_in)
  sum = Add (a, b)
}`;

type Feeds = Readonly<Record<string, ort.Tensor>>;

export const classifierFeeds: readonly Feeds[] = [0, 1].map((seed) => ({
  image: new ort.Tensor(
    'float32',
    Float32Array.from({ length: 288 }, (_, i) => ((i * 37 + seed * 11) % 256) / 255),
    [2, 1, 12, 12],
  ),
}));

export const everyTypeFeeds: readonly Feeds[] = [
  {
    bool_in: new ort.Tensor('bool', [true, false, true], [3]),
    text_in: new ort.Tensor('string', ['', 'größe', '日本\u0000語'], [3]),
    half_in: new ort.Tensor('float16', Uint16Array.of(0x3c00, 0xc248, 0x0001), [3]),
    double_in: new ort.Tensor('float64', Float64Array.of(1e-300, -2.5, 1 / 3), [3]),
    i8_in: new ort.Tensor('int8', Int8Array.of(-128, 0, 127), [3]),
    i16_in: new ort.Tensor('int16', Int16Array.of(-32768, 0, 32767), [3]),
    i32_in: new ort.Tensor('int32', Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1), [3]),
    i64_in: new ort.Tensor('int64', BigInt64Array.of(-(2n ** 53n) + 1n, 0n, 2n ** 53n - 1n), [3]),
    u8_in: new ort.Tensor('uint8', Uint8Array.of(0, 1, 255), [3]),
    u16_in: new ort.Tensor('uint16', Uint16Array.of(0, 1, 65535), [3]),
    u32_in: new ort.Tensor('uint32', Uint32Array.of(0, 1, 2 ** 32 - 1), [3]),
    u64_in: new ort.Tensor('uint64', BigUint64Array.of(0n, 1n, 2n ** 53n - 1n), [3]),
    a: new ort.Tensor('float32', Float32Array.of(1, 2, 3, 4, 5, 6), [3, 2]),
    b: new ort.Tensor('float32', Float32Array.of(0.5, 0.25, 0.125, -4, -5, -6), [3, 2]),
  },
];

function golden(name: string, { type, dims, data }: ort.Tensor): GoldenTensor {
  const bytes =
    type === 'string'
      ? packStrings(data as string[])
      : new Uint8Array(
          (data as Float32Array).buffer,
          (data as Float32Array).byteOffset,
          (data as Float32Array).byteLength,
        );
  return { name, dtype: type, shape: dims, bytes: new Uint8Array(bytes) };
}

function ioOf(metadata: readonly ort.InferenceSession.ValueMetadata[]): IoInfo[] {
  return metadata.map((value) => {
    if (!value.isTensor) throw new Error(`${value.name} is no tensor`);
    return { name: value.name, dtype: value.type, shape: value.shape };
  });
}

/**
 * Writes the model to `dir` and records its golden cases on ONNX Runtime.
 * @param anew that nothing is taken over which another artifact of the same model has found out
 */
export async function makeArtifact(
  dir: string,
  text: string,
  feeds: readonly Feeds[],
  { anew = false } = {},
): Promise<Artifact> {
  const model = parseModel(text);
  const bytes = encodeModel(model);
  const source = join(dir, 'source-model.onnx');
  await writeFile(source, bytes);
  const session = await ort.InferenceSession.create(source);
  const cases = [];
  for (const one of feeds) {
    const results = await session.run(one);
    cases.push({
      inputs: session.inputNames.map((name) => golden(name, one[name] as ort.Tensor)),
      outputs: session.outputNames.map((name) => golden(name, results[name] as ort.Tensor)),
      tolerance: { rtol: 1e-4, atol: 1e-5 },
    });
  }
  const ops: Record<string, number> = {};
  for (const node of model.graph.nodes) ops[node.op] = (ops[node.op] ?? 0) + 1;
  const labels = text === classifier ? ['ant', 'bee', 'cat', 'dog'] : undefined;
  const [first] = cases;
  if (!first) throw new Error('a test artifact needs feeds');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const workshop = createWorkshop(source, 0, new AbortController().signal);
  return {
    name: text === classifier ? 'tiny' : 'types',
    variant: 'base',
    files: [{ name: 'model.onnx', source, bytes: bytes.length, sha256 }],
    inputs: ioOf(session.inputMetadata),
    outputs: ioOf(session.outputMetadata),
    irVersion: 8,
    opsets: { '': 17 },
    ops,
    golden: cases,
    labels,
    preprocessing: text === classifier ? { image: { file: 'x.npy', scale: 1 / 255, bias: 0 } } : undefined,
    license: 'Apache-2.0',
    workshop: anew ? workshop : keepFunctions(workshop, sha256),
    graph: await staticGraph(model, first, new AbortController().signal),
  };
}
