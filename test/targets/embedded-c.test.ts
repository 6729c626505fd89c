import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { staticGraph } from '../../src/cli/static-graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { buildBundle } from '../../src/target/bundle.ts';
import { cRunner } from '../../src/target/c-runner.ts';
import { checkBundle } from '../../src/target/check.ts';
import { compileModel, type Program } from '../../targets/embedded-c/compile/compile.ts';
import { planMemory } from '../../targets/embedded-c/compile/memory.ts';
import { printHeader, printSource } from '../../targets/embedded-c/compile/print.ts';
import { type Block, floatLiteral, type Step } from '../../targets/embedded-c/compile/types.ts';
import { embeddedC } from '../../targets/embedded-c/index.ts';
import { makeArtifact } from './support/artifact.ts';
import { note } from './support/note.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const has = (name: string): boolean => spawnSync(name, ['--version']).status === 0;
const gcc = has('gcc');
if (!gcc) note('no gcc on this machine: generated C is not compiled');
const strict = ['-std=c99', '-Wall', '-Wextra', '-Werror'];
const sanitized = [...strict, '-O1', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

/** Body of a graph over `x`, with the shape of `x`, what else it declares, and its outputs. */
interface Case {
  readonly x: string;
  readonly constants?: string;
  readonly body: string;
  readonly outputs: string;
  readonly opset?: number;
  /** Steps of the output's unit that may differ; 0 where only rounding of floats does. */
  readonly steps?: number;
}

const weights = (name: string, shape: string, seed: number): string =>
  `float[${shape}] ${name} = random(${seed}, -0.5, 0.5)`;

const cases: Readonly<Record<string, Case>> = {
  'convolutions of every stride, padding, dilation and grouping': {
    x: 'float[1,6,19,23] x',
    constants: [
      weights('a', '10,6,3,3', 1),
      weights('ab', '10', 2),
      weights('b', '6,1,5,3', 3),
      weights('c', '4,3,1,1', 4),
      weights('d', '9,6,1,1', 5),
      weights('e', '3,6,7,1', 6),
      weights('f', '5,6,2,4', 7),
    ].join(', '),
    body: `ca = Conv <strides=[2,2], pads=[1,1,1,1]> (x, a, ab)
      ra = Relu (ca)
      cb = Conv <group=6, pads=[2,1,2,1]> (x, b)
      cc = Conv <group=2, strides=[3,1]> (x, c)
      cd = Conv (x, d)
      kd = Clip (cd, zero, one)
      ce = Conv <dilations=[2,1], pads=[6,0,6,0]> (x, e)
      cf = Conv <auto_pad="SAME_UPPER", strides=[2,3]> (x, f)`,
    outputs:
      'float[1,10,10,12] ra, float[1,6,19,23] cb, float[1,4,7,23] cc, float[1,9,19,23] kd, float[1,3,19,23] ce, float[1,5,10,8] cf',
  },
  'narrow and one-dimensional convolutions': {
    x: 'float[1,5,37] x',
    constants: [
      weights('a', '4,5,3', 1),
      weights('b', '3,5,1', 2),
      weights('t', '5,4,4', 3),
      weights('m', '7,4,1', 4),
    ].join(', '),
    body: `ca = Conv <strides=[4], pads=[1,1]> (x, a)
      cb = Conv (x, b)
      ct = ConvTranspose <strides=[2], pads=[1,1], output_padding=[1]> (x, t)
      p = MaxPool <kernel_shape=[3], strides=[2]> (ct)
      v = AveragePool <kernel_shape=[4], pads=[2,1], strides=[3], count_include_pad=1> (p)
      g = GlobalAveragePool (ct)
      gm = Conv (g, m)`,
    outputs: 'float[1,4,10] ca, float[1,3,37] cb, float[1,4,13] v, float[1,7,1] gm',
  },
  batches: {
    x: 'float[3,4,6,7] x',
    constants: [weights('a', '5,4,3,3', 1), weights('b', '3,4,1,1', 2), weights('t', '4,2,2,2', 3)].join(', '),
    body: `ca = Conv <pads=[1,1,1,1]> (x, a)
      cb = Conv (x, b)
      ct = ConvTranspose <strides=[2,2]> (x, t)`,
    outputs: 'float[3,5,6,7] ca, float[3,3,6,7] cb, float[3,2,12,14] ct',
  },
  'pools, padding, resizing and blocks': {
    x: 'float[1,4,9,11] x',
    constants:
      'int64[8] edges = {0,0,2,1,0,0,1,3}, float fill = {0.5}, float[4] scales = {1.0,1.0,2.0,2.0}, float[4] odd = {1.0,1.0,1.5,0.7}, float[0] roi = {}',
    body: `m = MaxPool <kernel_shape=[3,2], strides=[2,1], pads=[1,0,1,1], dilations=[1,2]> (x)
      a = AveragePool <kernel_shape=[3,3], strides=[2,2], pads=[1,1,0,1]> (x)
      gm = GlobalMaxPool (x)
      p = Pad (x, edges, fill)
      q = Pad <mode="reflect"> (x, edges)
      e = Pad <mode="edge"> (x, edges)
      n = Resize <mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"> (x, roi, scales)
      l = Resize <mode="linear"> (x, roi, odd)
      c = Resize <mode="linear", coordinate_transformation_mode="align_corners"> (x, roi, scales)
      d = DepthToSpace <blocksize=2> (x)
      s = SpaceToDepth <blocksize=2> (n)`,
    outputs:
      'float[1,4,5,10] m, float[1,4,5,6] a, float[1,4,1,1] gm, float[1,4,12,15] p, float[1,4,12,15] q, float[1,4,12,15] e, float[1,4,18,22] n, float[1,4,13,7] l, float[1,4,18,22] c, float[1,1,18,22] d, float[1,16,9,11] s',
  },
  'what C has in another form': {
    x: 'float[3,4] x',
    constants:
      'float big = {3000001.0}, int32 three = {3}, int64 two = {2}, int64 less = {-2}, float half = {0.5}, int64[1] first = {0}, float[4] s = {1.0,2.0,3.0,4.0}, int64[4] square = {1,1,3,4}, float[1,1,3,3] k = random(2, -1, 1)',
    body: `l = Mul (x, big)
      r = Round (l)
      i = Cast <to=6> (l)
      m = Mod <fmod=1> (i, three)
      mf = Cast <to=1> (m)
      p = Pow (x, two)
      a = Abs (i)
      h = Pow (a, half)
      hf = Cast <to=1> (h)
      j = Cast <to=7> (x)
      n = Pow (j, less)
      nf = Cast <to=1> (n)
      t = Unsqueeze (x, first)
      ln = LayerNormalization <axis=1> (t, s)
      q = Reshape (x, square)
      ct = ConvTranspose <output_shape=[6,8], strides=[2,2]> (q, k)`,
    outputs: 'float[3,4] r, float[3,4] mf, float[3,4] p, float[3,4] hf, float[1,3,4] ln, float[1,1,6,8] ct',
  },
  'Resize of some axes': {
    opset: 18,
    x: 'float[1,2,7,7] x',
    constants: 'float[2] scales = {0.6,0.6}',
    body: `n = Resize <axes=[-2,-1], mode="nearest"> (x, , scales)
      l = Resize <axes=[2,3], mode="linear"> (x, , scales)`,
    outputs: 'float[1,2,4,4] n, float[1,2,4,4] l',
  },
  'Resize of opset 10': {
    x: 'float[1,2,10,7] x',
    constants: 'float[4] scales = {1.0,1.0,0.6,1.6}, float[4] grown = {1.0,1.0,1.5,2.5}',
    body: `n = Resize <mode="nearest"> (x, scales)
      l = Resize <mode="linear"> (x, grown)`,
    outputs: 'float[1,2,6,11] n, float[1,2,15,17] l',
    opset: 10,
  },
  'elementwise functions': {
    x: 'float[2,3,5] x',
    constants:
      'float[3,1] slope = {0.1,-0.2,0.3}, float three = {3.0}, float half = {0.5}, float[5] row = {1.0,-2.0,0.5,4.0,-0.25}',
    body: `s = Sigmoid (x) t = Tanh (s) u = Elu <alpha=0.7> (x) se = Selu (x) hs = HardSwish (x) hg = HardSigmoid (x) sp = Softplus (x)
      ss = Softsign (x) ab = Abs (x) sq = Sqrt (ab) ex = Exp (x) lg = Log (ex) er = Erf (x) fl = Floor (x) ce = Ceil (x) ro = Round (x)
      ng = Neg (x) rc = Reciprocal (ex) pr = PRelu (x, slope) lr = LeakyRelu (x) th = ThresholdedRelu <alpha=0.2> (x) si = Sign (x) mi = Mish (x)
      p3 = Pow (x, three) p5 = Pow (ab, half) mx = Max (x, row, half) mn = Min (x, row) sm = Sum (t, u, se, row) me = Mean (hs, hg, sp, ss)
      a1 = Add (sq, lg) a2 = Sub (er, fl) a3 = Mul (ce, ro) a4 = Div (ng, rc) a5 = Add (pr, lr) a6 = Add (th, si) a7 = Add (mi, p3)
      gt = Greater (x, row) w = Where (gt, x, row) lt = Less (x, half) an = And (gt, lt) no = Not (an) ca = Cast <to=1> (no) ci = Cast <to=6> (x) cf = Cast <to=1> (ci)
      ge = Gelu (x) gt2 = Gelu <approximate="tanh"> (x) y = Add (ge, gt2)`,
    outputs:
      'float[2,3,5] a1, float[2,3,5] a2, float[2,3,5] a3, float[2,3,5] a4, float[2,3,5] a5, float[2,3,5] a6, float[2,3,5] a7, float[2,3,5] p5, float[2,3,5] mx, float[2,3,5] mn, float[2,3,5] sm, float[2,3,5] me, float[2,3,5] w, float[2,3,5] ca, float[2,3,5] cf, float[2,3,5] y, bool[2,3,5] gt',
    opset: 20,
  },
  'products of matrices': {
    x: 'float[2,3,20] x',
    constants: [
      weights('w', '20,33', 1),
      weights('v', '20,5', 2),
      weights('g', '7,20', 3),
      weights('gb', '7', 4),
      weights('one', '1,60', 5),
      weights('k', '60,10', 6),
    ].join(', '),
    body: `a = MatMul (x, w)
      b = MatMul (x, v)
      t = Transpose <perm=[0,2,1]> (x)
      c = MatMul (x, t)
      d = MatMul (t, x)
      flat = Reshape (x, six)
      e = Gemm <transB=1, alpha=0.5, beta=2.0> (flat, g, gb)
      r = Relu (e)
      line = Reshape (x, sixty)
      f = Gemm (line, k)
      h = Add (one, line)
      i = MatMul (h, k)`,
    outputs:
      'float[2,3,33] a, float[2,3,5] b, float[2,3,3] c, float[2,20,20] d, float[6,7] r, float[2,10] f2, float[2,10] i2',
  },
  'moving elements': {
    x: 'float[3,4,5] x',
    constants:
      'int64[2] st = {-1,1}, int64[2] en = {-100,4}, int64[2] ax = {2,1}, int64[2] sp = {-2,1}, int64[3] ix = {2,-1,0}, int64 one_i = {1}, int64[2] parts = {1,3}, int64[3] rep = {2,1,3}, int64[3] big = {3,4,5}, int64[1,1] at = {1}, float[1,4,5] up = random(9, -1.0, 1.0), float[5] row = {1.0,2.0,3.0,4.0,5.0}',
    body: `s = Slice (x, st, en, ax, sp)
      g = Gather <axis=1> (x, ix)
      o = Gather <axis=2> (x, one_i)
      p, q = Split <axis=1> (x, parts)
      c = Concat <axis=1> (q, x, p)
      t = Tile (x, rep)
      e = Expand (row, big)
      u = Transpose <perm=[2,0,1]> (c)
      z = ScatterND (x, at, up)
      am = ArgMax <axis=1, keepdims=0> (x)
      ai = ArgMin <axis=-1> (x)`,
    outputs:
      'float[3,3,3] s, float[3,3,5] g, float[3,4] o, float[5,3,8] u, float[6,4,15] t, float[3,4,5] e, float[3,4,5] z, int64[3,5] am, int64[3,4,1] ai',
  },
  'sums, softmax and normalization': {
    x: 'float[2,6,4,3] x',
    constants: `${[weights('sc', '6', 1), weights('bi', '6', 2), weights('ls', '3', 3), weights('lb', '3', 4)].join(', ')}, float[6] va = random(5, 0.5, 1.5), int64[2] ax = {1,3}, int64[1] last = {-1}`,
    body: `a = ReduceSum <keepdims=0> (x, ax) b = ReduceMean (x, last) c = ReduceMax (x, ax) d = ReduceMin <keepdims=0> (x, last) e = ReduceProd (x, last)
      f = ReduceL2 (x, ax) g = ReduceL1 (x, ax) h = ReduceSumSquare (x, last)
      s = Softmax <axis=1> (x) l = LogSoftmax (x)
      n = LayerNormalization (x, ls, lb) i = InstanceNormalization (x, sc, bi) m = BatchNormalization (x, sc, bi, sc, va)
      gn = GroupNormalization <num_groups=3> (x, sc, bi)`,
    outputs:
      'float[2,4] a, float[2,6,4,1] b, float[2,1,4,1] c, float[2,6,4] d, float[2,6,4,1] e, float[2,1,4,1] f, float[2,1,4,1] g, float[2,6,4,1] h, float[2,6,4,3] s, float[2,6,4,3] l, float[2,6,4,3] n, float[2,6,4,3] i, float[2,6,4,3] m, float[2,6,4,3] gn',
    opset: 21,
  },
  'recurrent layers of both directions': {
    x: 'float[5,2,3] x',
    constants: [
      weights('lw', '2,16,3', 1),
      weights('lr', '2,16,4', 2),
      weights('lb', '2,32', 3),
      weights('gw', '1,12,3', 4),
      weights('gr', '1,12,4', 5),
      weights('gb', '1,24', 6),
      weights('rw', '1,4,3', 7),
      weights('rr', '1,4,4', 8),
      weights('h0', '1,2,4', 9),
    ].join(', '),
    body: `ly, lh, lc = LSTM <hidden_size=4, direction="bidirectional"> (x, lw, lr, lb)
      gy, gh = GRU <hidden_size=4, linear_before_reset=1> (x, gw, gr, gb, , h0)
      hy, hh = GRU <hidden_size=4, direction="reverse"> (x, gw, gr)
      ry, rh = RNN <hidden_size=4> (x, rw, rr)`,
    outputs:
      'float[5,2,2,4] ly, float[2,2,4] lh, float[2,2,4] lc, float[5,1,2,4] gy, float[1,2,4] gh, float[5,1,2,4] hy, float[5,1,2,4] ry, float[1,2,4] rh',
  },
  'convolutions in 8 bits': {
    x: 'float[1,3,12,21] x',
    constants:
      'float xs = {0.0078}, uint8 xz = {128}, int8[6,3,3,3] w = random(1, -100, 100), float[6] ws = {0.004,0.005,0.003,0.006,0.002,0.004}, int8[6] wz = {0,0,0,0,0,0}, int32[6] b = {1000,-500,0,200,-3000,40}, float[6] bs = {0.0000312,0.000039,0.0000234,0.0000468,0.0000156,0.0000312}, float ys = {0.02}, uint8 yz = {3}, uint8[6,1,3,3] v = random(2, 0, 255), float vs = {0.01}, uint8 vz = {117}, float zs = {0.05}, uint8 zz = {100}',
    body: `xq = QuantizeLinear (x, xs, xz)
      xd = DequantizeLinear (xq, xs, xz)
      wd = DequantizeLinear <axis=0> (w, ws, wz)
      bd = DequantizeLinear <axis=0> (b, bs)
      c = Conv <pads=[1,1,1,1], strides=[1,2]> (xd, wd, bd)
      r = Relu (c)
      q = QuantizeLinear (r, ys, yz)
      d = DequantizeLinear (q, ys, yz)
      mp = MaxPool <kernel_shape=[2,2]> (d)
      mq = QuantizeLinear (mp, ys, yz)
      md = DequantizeLinear (mq, ys, yz)
      vd = DequantizeLinear (v, vs, vz)
      e = Conv <group=6, pads=[1,1,1,1]> (md, vd)
      eq = QuantizeLinear (e, zs, zz)
      ed = DequantizeLinear (eq, zs, zz)
      s = Add (ed, md)
      sq = QuantizeLinear (s, zs, zz)`,
    outputs: 'uint8[1,6,12,11] q, uint8[1,6,6,5] eq, uint8[1,6,6,5] sq',
    steps: 1,
  },
};

/** What a case says apart from its own lines. */
function textOf({ x, constants = '', body, outputs, opset = 18 }: Case): string {
  const extra =
    'float zero = {0.0}, float one = {1.0}, int64[2] six = {6,20}, int64[2] sixty = {2,60}, int64[2] ten = {2,10}';
  const tail = outputs.includes('f2') ? '\n      f2 = Reshape (f, ten)\n      i2 = Reshape (i, ten)' : '';
  const used = extra
    .split(/, (?=float|int64)/)
    .filter(
      (one) =>
        new RegExp(`\\b${/ (\w+) =/.exec(one)?.[1]}\\b`).test(body + tail) &&
        !constants.includes(` ${/ (\w+) =/.exec(one)?.[1]} =`),
    );
  const declared = [constants, ...used].filter((one) => one !== '').join(', ');
  return `<ir_version: 10, opset_import: ["" : ${opset}]>
main (${x}) => (${outputs})
${declared === '' ? '' : `<${declared}>`}
{
  ${body}${tail}
}`;
}

function feeds(x: string): Record<string, ort.Tensor>[] {
  const shape = /\[([\d,]+)\]/.exec(x)?.[1]?.split(',').map(Number) ?? [];
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * 1.3);
  return [{ x: new ort.Tensor('float32', data, shape) }];
}

describe.skipIf(!gcc)('generated C', () => {
  for (const [name, one] of Object.entries(cases)) {
    it(`computes ${name}`, async () => {
      const place = join(dir, name.replaceAll(/\W+/g, '-'));
      await mkdir(place);
      const artifact = await makeArtifact(place, textOf(one), feeds(one.x));
      const golden = artifact.golden.map((all) => ({
        ...all,
        tolerance: one.steps === undefined ? { rtol: 1e-5, atol: 1e-6 } : { rtol: 0, atol: one.steps },
      }));
      const bundle = join(place, 'bundle');
      await buildBundle(embeddedC, { ...artifact, golden }, {}, bundle);
      // Vectors of every width that the machine has, and plain loops: one build with sanitizers, one without vectors.
      for (const flags of [sanitized, [...strict, '-O2', '-DMODEL_LANES=0']]) {
        const binary = join(place, 'golden');
        execFileSync('gcc', [...flags, 'model.c', 'test/golden.c', '-lm', '-o', binary], {
          cwd: bundle,
          stdio: 'pipe',
        });
        const { status, stdout, stderr } = spawnSync(binary, ['golden'], { cwd: bundle, encoding: 'utf8' });
        expect(`${status} ${stderr}${status === 0 ? '' : stdout}`).toBe('0 ');
      }
      const report = JSON.parse(await readFile(join(bundle, 'memory.json'), 'utf8'));
      expect(report.arenaBytes).toBeLessThanOrEqual(report.lowerBoundBytes * 1.1);
    }, 60_000);
  }

  it('takes names that the code or the compiler has already, and those that differ in case only', async () => {
    const place = join(dir, 'names');
    await mkdir(place);
    const text = `<ir_version: 8, opset_import: ["" : 17]>
main (float[4] x1, float[4] x0, float[4] sigmoid, float[4] q, float[5] Q, float[4] class) => (float[4] y, float[4] expf, float[5] arena) {
  y = Sub (x1, x0)
  a = Sigmoid (sigmoid)
  b = Softmax (a)
  c = Mul (b, q)
  expf = Add (c, class)
  arena = Neg (Q)
}`;
    const model = parseModel(text);
    inferShapes(model);
    const program = compileModel(model) as Program;
    await writeFile(join(place, 'model.h'), printHeader(program, { prefix: 'model', title: 'names' }));
    await writeFile(join(place, 'model.c'), printSource(program, { prefix: 'model', title: 'names' }));
    const main = `#include "model.h"
int main(void) {
  const float a[5] = {5, 6, 7, 8, 9}, b[5] = {1, 1, 1, 1, 1};
  float y[4], e[4], n[5];
  model_run(a, b, b, b, a, b, y, e, n);
  return !(y[0] == 4 && y[3] == 7 && e[0] == 1.25f && n[4] == -9);
}
`;
    await writeFile(join(place, 'main.c'), main);
    execFileSync('gcc', [...sanitized, 'model.c', 'main.c', '-lm', '-o', 'names'], { cwd: place, stdio: 'pipe' });
    expect(spawnSync(join(place, 'names')).status).toBe(0);
    if (has('g++')) execFileSync('g++', ['-fsyntax-only', '-x', 'c++', 'model.h'], { cwd: place, stdio: 'pipe' });
  });

  it('holds every output to its own tolerance, and finds what is no number', async () => {
    const place = join(dir, 'own');
    await mkdir(place);
    const one: Case = { x: 'float[1,4] x', body: 'y = Log (x)\n z = Neg (x)', outputs: 'float[1,4] y, float[1,4] z' };
    const { x } = feeds(one.x)[0] as Record<string, ort.Tensor>;
    const { golden, ...artifact } = await makeArtifact(place, textOf(one), [
      { x: new ort.Tensor('float32', Float32Array.of(-1, 1, 2, 3), x?.dims) },
    ]);
    const moved = (output: number, element: number, by: Float32Array) =>
      golden.map((all) => ({
        ...all,
        tolerance: { rtol: 0, atol: 5 },
        outputs: all.outputs.map((tensor, i) => {
          const tolerance = { rtol: 0, atol: i === 0 ? 5 : 0.1 };
          const bytes = Uint8Array.from(tensor.bytes);
          if (i === output) bytes.set(new Uint8Array(by.buffer), element * 4);
          return { ...tensor, bytes, tolerance };
        }),
      }));
    for (const [name, output, element, value, status] of [
      ['right', 0, 1, 1, 0],
      ['no-number', 0, 0, 1, 1],
      ['narrow', 1, 1, -2, 1],
    ] as const) {
      const [bundle, binary] = [join(place, name), join(place, `${name}-test`)];
      await buildBundle(embeddedC, { ...artifact, golden: moved(output, element, Float32Array.of(value)) }, {}, bundle);
      execFileSync('gcc', [...strict, '-O1', 'model.c', 'test/golden.c', '-lm', '-o', binary], {
        cwd: bundle,
        stdio: 'pipe',
      });
      expect(spawnSync(binary, ['golden'], { cwd: bundle }).status, name).toBe(status);
      const { ok } = await checkBundle(bundle, { runners: { c99: cRunner } });
      expect(ok, name).toBe(status === 0);
    }
  });

  it('a bias in steps of its own', async () => {
    const place = join(dir, 'bias');
    await mkdir(place);
    const one: Case = {
      x: 'float[1,2,4,4] x',
      constants:
        'float xs = {0.02}, uint8 xz = {128}, int8[2,2,1,1] w = {10,-20,30,40}, float ws = {0.01}, float bs = {0.5}, int32[2] b = {2,-3}, float ys = {0.05}, uint8 yz = {128}',
      body: `xq = QuantizeLinear (x, xs, xz)
        xd = DequantizeLinear (xq, xs, xz)
        wd = DequantizeLinear (w, ws)
        bd = DequantizeLinear (b, bs)
        c = Conv (xd, wd, bd)
        q = QuantizeLinear (c, ys, yz)`,
      outputs: 'uint8[1,2,4,4] q',
    };
    const artifact = await makeArtifact(place, textOf(one), feeds(one.x));
    const golden = artifact.golden.map((all) => ({ ...all, tolerance: { rtol: 0, atol: 1 } }));
    await buildBundle(embeddedC, { ...artifact, golden }, {}, join(place, 'bundle'));
    execFileSync('gcc', [...strict, '-O1', 'model.c', 'test/golden.c', '-lm', '-o', 'golden-test'], {
      cwd: join(place, 'bundle'),
      stdio: 'pipe',
    });
    expect(spawnSync(join(place, 'bundle/golden-test'), ['golden'], { cwd: join(place, 'bundle') }).status).toBe(0);
  });

  it('puts the ONNX model into programs in C, Rust and Go', async () => {
    const bundle = join(dir, 'products-of-matrices/bundle');
    const place = join(dir, 'embed');
    await mkdir(place);
    const model = await readFile(join(bundle, 'source/model.onnx'));
    const main =
      '#include <stdio.h>\n#include "model_onnx.h"\nint main(void) { return fwrite(model_onnx, 1, MODEL_ONNX_SIZE, stdout) != MODEL_ONNX_SIZE; }\n';
    await writeFile(join(place, 'main.c'), main);
    const source = join(bundle, 'source');
    const binary = join(place, 'c');
    execFileSync('gcc', [...strict, '-I', source, join(place, 'main.c'), join(source, 'model.S'), '-o', binary], {
      stdio: 'pipe',
    });
    expect(execFileSync(binary).equals(model)).toBe(true);
    if (has('rustc')) {
      await writeFile(
        join(place, 'main.rs'),
        `#[path = "${join(source, 'model.rs')}"]\nmod model;\nfn main() { use std::io::Write; std::io::stdout().write_all(model::MODEL_ONNX).unwrap(); }\n`,
      );
      execFileSync('rustc', ['-o', join(place, 'rs'), join(place, 'main.rs')], { stdio: 'pipe' });
      expect(execFileSync(join(place, 'rs')).equals(model)).toBe(true);
    } else note('no rustc on this machine: the Rust file is not compiled');
    if (spawnSync('go', ['version']).status === 0) {
      const own = join(place, 'go');
      await cp(source, join(own, 'source'), { recursive: true });
      await writeFile(join(own, 'go.mod'), 'module try\n\ngo 1.16\n');
      const text = 'import (\n\t"os"\n\t"try/source"\n)\n\nfunc main() { os.Stdout.Write(source.ONNX) }\n';
      await writeFile(join(own, 'main.go'), `package main\n\n${text}`);
      const env = { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOCACHE: join(place, 'go-cache') };
      expect(execFileSync('go', ['run', '.'], { cwd: own, env, stdio: ['ignore', 'pipe', 'pipe'] }).equals(model)).toBe(
        true,
      );
    } else note('no go on this machine: the Go file is not compiled');
  }, 60_000);

  it('runs on aarch64 and fits on a Cortex-M', async ({ skip }) => {
    const qemu = ['qemu-aarch64-static', 'qemu-aarch64'].find(has);
    if (!has('aarch64-linux-gnu-gcc') || !qemu || !has('arm-none-eabi-gcc')) {
      note('no cross compilers or qemu on this machine: generated C is not tried on other processors');
      skip();
      return;
    }
    const bundle = join(dir, 'convolutions-in-8-bits/bundle');
    expect(existsSync(bundle)).toBe(true);
    const binary = join(dir, 'golden-arm');
    execFileSync(
      'aarch64-linux-gnu-gcc',
      [...strict, '-O2', '-static', 'model.c', 'test/golden.c', '-lm', '-o', binary],
      { cwd: bundle },
    );
    expect(spawnSync(qemu, [binary, 'golden'], { cwd: bundle, encoding: 'utf8' }).status).toBe(0);
    const object = join(dir, 'model-m4.o');
    const m4 = ['-mcpu=cortex-m4', '-mthumb', '-mfloat-abi=hard', '-mfpu=fpv4-sp-d16', '-Os'];
    execFileSync('arm-none-eabi-gcc', [...strict, ...m4, '-c', 'model.c', '-o', object], { cwd: bundle });
    const undefinedNames = execFileSync('arm-none-eabi-nm', ['-u', object], { encoding: 'utf8' });
    // Nothing of the C library but what any freestanding system has, and math.
    expect(undefinedNames.match(/\b(malloc|free|printf|abort|_?exit)\b/)).toBeNull();
    const running = await cRunner(join(bundle, 'model.c'), { path: 'model.c', format: 'c99' });
    expect(running.how).toMatch(/, on a Cortex-M4 \(-Os\) \d+ bytes of flash and \d+ of RAM$/);
    await running.close();
  }, 60_000);
});

async function programOf(one: Case): Promise<Program | string[]> {
  const model = parseModel(textOf(one));
  const artifact = await makeArtifact(dir, textOf(one), feeds(one.x));
  const [golden] = artifact.golden;
  if (!golden) throw new Error('no golden case');
  return compileModel(await staticGraph(model, golden, new AbortController().signal));
}

describe('what is not compiled', () => {
  it('is named, every operator at once, before anything is written', async () => {
    const program = await programOf({
      x: 'float[1,4] x',
      body: 'y = CumSum (x, zero_i)\n  z = Trilu (x)',
      constants: 'int64 zero_i = {1}',
      outputs: 'float[1,4] y, float[1,4] z',
    });
    expect(program).toEqual([expect.stringMatching(/^The generated C code has no CumSum \("y"\), Trilu \("z"\)\.$/)]);
  });

  it('says why where only a form of the operator is missing', async () => {
    const program = await programOf({
      x: 'float[1,2,4,4,4] x',
      constants: weights('w', '3,2,3,3,3', 1),
      body: 'y = Conv (x, w)',
      outputs: 'float[1,3,2,2,2] y',
    });
    expect(program).toEqual([expect.stringContaining('it has 3 spatial dimensions, and one or two are known')]);
  });
});

describe('memory plan', () => {
  let ids = 0;
  const block = (bytes: number): Block => ({ id: ids++, bytes, kind: 'arena', name: '' });
  const step = (reads: Block[], writes: Block[], inPlace: Block[] = []): Step => {
    const ref = (one: Block) => ({ block: one, type: 'u8', shape: [one.bytes] });
    return { title: '', reads: reads.map(ref), writes: writes.map(ref), inPlace: inPlace.map(ref), code: () => '' };
  };

  it('never lets two live tensors overlap, and reaches the lower bound', () => {
    let seed = 7;
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * n);
    };
    let total = 0;
    for (let round = 0; round < 40; round++) {
      const blocks = Array.from({ length: 24 }, () => block(16 * (1 + random(64))));
      const steps = blocks.slice(1).map((to, at) => {
        const from = [blocks[at], blocks[random(at + 1)]].filter((one) => one !== undefined);
        return step([...new Set(from)], [to]);
      });
      const { offsets, bytes, lowerBound } = planMemory(steps);
      const life = new Map<Block, [number, number]>();
      for (const [at, { reads, writes }] of steps.entries())
        for (const { block: one } of [...reads, ...writes]) life.set(one, [life.get(one)?.[0] ?? at, at]);
      for (const [a, [fromA, toA]] of life)
        for (const [b, [fromB, toB]] of life) {
          if (a.id >= b.id || toA < fromB || toB < fromA) continue;
          const [x, y] = [offsets.get(a) ?? 0, offsets.get(b) ?? 0];
          expect(x + a.bytes <= y || y + b.bytes <= x).toBe(true);
        }
      expect(bytes).toBeGreaterThanOrEqual(lowerBound);
      total += bytes / lowerBound;
    }
    expect(total / 40).toBeLessThan(1.05);
  });

  it('writes over an input that dies', () => {
    const [a, b, c] = [block(1024), block(1024), block(512)];
    expect(planMemory([step([], [a]), step([a], [b], [a]), step([b], [c])]).bytes).toBe(1536);
    // Read again later: it must stay.
    expect(planMemory([step([], [a]), step([a], [b], [a]), step([a, b], [c])]).bytes).toBe(2560);
  });
});

it('float literals read back to the same bits', () => {
  for (const value of [0, -0, 1, 0.1, 1 / 3, 1e-38, 3.4028234663852886e38, -1e-45, 16777217, 0.30000001192092896]) {
    const text = floatLiteral(value).replaceAll(/[()f]/g, '');
    expect(Object.is(Math.fround(Number(text)), Math.fround(value)), text).toBe(true);
  }
  expect([floatLiteral(Number.NaN), floatLiteral(-Infinity)]).toEqual(['NAN', '(-INFINITY)']);
});
