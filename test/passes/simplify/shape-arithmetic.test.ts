/** What inference reckons with becomes constants, so it must come out as ONNX Runtime computes it, or not at all. */
import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { Graph, Model } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { exact } from '../../../src/pass/pass.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';
import { differential, edgeFeeds } from '../../support/differential.ts';

/** Name, outputs beside `Relu(x)`, constants, nodes; `x` is float[5,4,3] unless told otherwise. */
const cases: readonly (readonly [name: string, outputs: string, constants: string, body: string, x?: string])[] = [
  [
    'integers beyond 2^53: Sub',
    'int64 y',
    'int64 a = {9223372036854775807}, int64 b = {9223372036854775800}',
    'y = Sub (a, b)',
  ],
  ['integers beyond 2^53: Add', 'int64 y', 'int64 a = {9223372036854775807}, int64 b = {-1}', 'y = Add (a, b)'],
  [
    'integers beyond 2^53: Equal',
    'bool y',
    'int64 a = {9223372036854775807}, int64 b = {9223372036854775800}',
    'y = Equal (a, b)',
  ],
  [
    'a product beyond 2^53 in the middle',
    'int64 y',
    'int64 a = {1099511627777}, int64 b = {1048577}, int64 c = {1000003}',
    'p = Mul (a, b)  y = Mod (p, c)',
  ],
  ['int32 that overflows', 'int32 y', 'int32 a = {1048577}, int32 c = {1003}', 'p = Mul (a, a)  y = Mod (p, c)'],
  ['a Cast that cuts off', 'int64 y', 'int64 a = {4294967301}', 'p = Cast <to = 6> (a)  y = Cast <to = 7> (p)'],
  ['Mod with the sign of the dividend', 'int64 y', 'int64 a = {-7}, int64 c = {3}', 'y = Mod <fmod = 1> (a, c)'],
  [
    'an integer power below one',
    'int64 y',
    'int64 a = {2}, int64 b = {-1}, int64 c = {4}',
    'p = Pow (a, b)  y = Mul (p, c)',
  ],
  [
    'extents in half precision',
    'int64[2] y',
    'float16 c = {3}',
    's = Shape (x)  h = Cast <to = 10> (s)  k = Max (h, c)  y = Cast <to = 7> (k)',
    'float[2049,2]',
  ],
  [
    'a Slice backwards from in front of the first element',
    'float[?,4,3] y, int64[3] s, int64[?] t',
    'int64[1] a = {-10}, int64[1] b = {-9223372036854775807}, int64[1] c = {0}, int64[1] d = {-1}',
    'y = Slice (x, a, b, c, d)  s = Shape (y)  q = Shape (x)  t = Slice (q, a, b, c, d)',
  ],
  [
    'a Slice backwards to the end',
    'float[?,4,3] y, int64[3] s, int64[?] t',
    'int64[1] a = {2}, int64[1] b = {9223372036854775807}, int64[1] c = {0}, int64[1] d = {-1}',
    'y = Slice (x, a, b, c, d)  s = Shape (y)  q = Shape (x)  t = Slice (q, a, b, c, d)',
  ],
  [
    'Squeeze with an empty list of axes',
    'float[] y, float[] z, int64[?] s',
    'int64[0] a = {}, int64[1] b = {0}',
    'y = Squeeze (x, a)  s = Shape (y)  p = Squeeze (x, b)  z = Squeeze (p, a)',
    'float[1,1,3]',
  ],
  [
    'a Loop whose number of rounds is negative',
    'int64[1] s, int64[1] t',
    'int64 five = {5}, int64[1] zero = {0}, bool on = {1}',
    `e = Shape <end = 1> (x)  n = Squeeze (e, zero)  m = Sub (n, five)
    c = Loop <body = b (int64 i, bool go) => (bool on1, float[N] p) { on1 = Identity (go)  p = Relu (x) }> (m, on)
    q = Shape <end = 1> (c)  m1 = Unsqueeze (m, zero)  s = Add (q, five)  t = Add (m1, five)`,
    'float[N]',
  ],
  [
    'a transposed convolution that adds nothing to a short kernel',
    'float[?,?,?] y, int64[3] s',
    'float[1,1,1] k = random(1)',
    'y = ConvTranspose <strides = [3], auto_pad = "SAME_UPPER"> (x, k)  s = Shape (y)',
    'float[1,1,3]',
  ],
  [
    'a dilated pool padded to the same extent',
    'float[?,?,?] y, int64[3] s',
    'int64 unused = {0}',
    'y = MaxPool <kernel_shape = [2], dilations = [2], auto_pad = "SAME_UPPER"> (x)  s = Shape (y)',
    'float[1,1,7]',
  ],
  [
    'a norm whose result has the type of its scale',
    'float16[2,4] y',
    'float[4] k = {1, 2, 3, 4}',
    'h = Cast <to = 10> (x)  n = SimplifiedLayerNormalization <axis = -1, epsilon = 0.001, stash_type = 1> (h, k)  y = Cast <to = 10> (n)',
    'float[2,4]',
  ],
  [
    'a Loop without state or condition that never runs',
    'float[?,5] y',
    'int64 none = {0}',
    `y, unused = Loop <body = b (int64 i, bool go) => (bool on, float[5] p, float[5] q) { on = Identity (go)  p = Relu (x)  q = Neg (x) }> (none, )`,
    'float[5]',
  ],
];

describe('shape arithmetic comes out as ONNX Runtime has it', () => {
  for (const [name, outputs, constants, body, x = 'float[5,4,3]'] of cases) {
    it(name, async () => {
      const before = parseModel(
        `<ir_version: 8, opset_import: ["" : 17]> g (${x} x) => (${x} r, ${outputs}) <${constants}> { r = Relu (x)  ${body} }`,
      );
      const after = cloneModel(before);
      const [trace] = await runSteps(after, [simplify({})], { context: new TestContext() });
      expect(trace?.skipped.filter(({ rule }) => rule === 'simplify')).toEqual([]);
      expect(await differential(before, after, edgeFeeds(before, 3), exact)).toEqual([]);
    });
  }

  it.each([
    ['float16', 10],
    ['bfloat16', 16],
    ['uint8', 2],
    ['int8', 3],
  ])('follows no open extent through %s', async (_name, to) => {
    const before = parseModel(
      `<ir_version: 8, opset_import: ["" : 17]> g (float[N] x) => (float[?] y, bool[1] s) <float[1] one = {1}> {
        e = Shape (x)  h = Cast <to = ${to}> (e)  i = Cast <to = 7> (h)  k = Abs (i)  y = Expand (one, k)  s = Equal (i, e)
      }`,
    );
    const after = cloneModel(before);
    await runSteps(after, [simplify({})], { context: new TestContext() });
    expect(await differential(before, after, edgeFeeds(before, 3, { N: 2049 }), exact)).toEqual([]);
  });

  it('broadcasts texts', () => {
    const model = parseModel(
      '<ir_version: 9, opset_import: ["" : 20]> g (string[1,3] x, string[N,1] y) => (string[?,?] z) { z = StringConcat (x, y) }',
    );
    const { types } = inferShapes(model);
    expect(types.get(model.graph.outputs[0] as never)).toEqual(tensorType('string', ['N', 3]));
  });

  it.each(['-1', '8', 'None', '?'])('takes "%s" for no extent and no name of one', async (dim) => {
    const before = parseModel(
      `<ir_version: 8, opset_import: ["" : 17]> g (float["${dim}","${dim}"] x) => (float[] y, int64[1] s) {
        e = Shape <end = 1> (x)  f = Shape <start = 1> (x)  t = Concat <axis = 0> (f, e)  y = Reshape (x, t)  s = Sub (f, e)
      }`,
    );
    const after = cloneModel(before);
    await runSteps(after, [simplify({})], { context: new TestContext() });
    expect(await differential(before, after, edgeFeeds(before, 3, { x: [2, 3] }), exact)).toEqual([]);
  });

  it('does not put a vocabulary on the stack', () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('int64', [2]));
    const ngram_indexes = Array.from({ length: 300_000 }, (_, index) => index);
    const node = graph.append('TfIdfVectorizer', { inputs: [x], attrs: { ngram_indexes } });
    graph.addOutput(node.output());
    const { types } = inferShapes(new Model(graph, 17));
    expect(types.get(node.output())).toEqual(tensorType('float32', [300_000]));
  });
});
