import { describe, expect, it } from 'vitest';
import { quantizeWeights } from '../../../passes/quantize/quantize-weights.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { verify } from '../../../src/ir/verify.ts';
import { nf4Values } from '../../../src/kernels/nf4.ts';
import { unpackCodes } from '../../../src/kernels/pack.ts';
import { TestContext } from '../../support/context.ts';
import { countOps } from '../../support/count-ops.ts';
import { edgeFeeds } from '../../support/differential.ts';
import { runOrt } from '../../support/ort.ts';

type Options = NonNullable<Parameters<typeof quantizeWeights>[0]>;

const head = (body: string, opset = 17): string => `<ir_version: 8, opset_import: ["" : ${opset}]>\n${body}`;

async function quantize(model: Model, options: Options = {}) {
  const ctx = new TestContext();
  const { changed } = await quantizeWeights.run(model, quantizeWeights(options).options as never, ctx);
  return {
    changed,
    applied: ctx.applications.map(({ detail }) => detail ?? ''),
    skips: ctx.skips.map(({ why }) => why),
    notes: ctx.notes,
  };
}

const nodeOf = (model: Model, op: string): Node => {
  const node = [...model.graph.nodes].find((candidate) => candidate.op === op);
  if (!node) throw new Error(`no ${op}`);
  return node;
};
const bytesOf = (node: Node, index: number): Uint8Array => node.input(index)?.initializer?.bytes() as Uint8Array;
const floatsOf = (node: Node, index: number): Float32Array =>
  typedArray(node.input(index)?.initializer as Tensor, 'float32');
const initializers = (model: Model): string[] => [...model.graph.initializers].map((value) => value.name).sort();

const rows = (from: number, count: number): Tensor =>
  tensorFrom(
    'int64',
    [count],
    BigInt64Array.from({ length: count }, (_, i) => BigInt(from + i)),
  );

async function outputOf(model: Model, feeds: Map<string, Tensor>, level: 'disabled' | 'all' = 'disabled', name = 'y') {
  const [result] = await runOrt(model, [feeds], level);
  return typedArray(result?.get(name) as Tensor, 'float32');
}

const tableModel = (width: number): Model =>
  parseModel(
    head(
      `g (int64[n] ids) => (float[n,${width}] y) <float[11,${width}] table = random(1)> { y = Gather (table, ids) }`,
    ),
  );

describe('GatherBlockQuantized', () => {
  const forms = ([2, 4] as const).flatMap((bits) =>
    ([true, false] as const).flatMap((symmetric) => [64, 80, 48].map((width) => ({ bits, symmetric, width }))),
  );
  // 80 and 48: blocks of 16, five and three to a row, so that zero points of 4 and 2 bits do not fill their bytes.
  it.each(forms)('reads the rows as we packed them: %o', async ({ bits, symmetric, width }) => {
    const model = tableModel(width);
    await quantize(model, { embeddings: bits, symmetric, minElements: 0 });
    expect(verify(model)).toEqual([]);
    const gather = nodeOf(model, 'GatherBlockQuantized');
    const block = gather.int('block_size', 0);
    expect(width % block).toBe(0);
    const blocks = width / block;
    const codes = unpackCodes(bytesOf(nodeOf(model, 'Reshape'), 0), bits, 11 * width);
    const scales = floatsOf(gather, 2);
    const packed = gather.input(3) && bytesOf(gather, 3);
    const y = await outputOf(model, new Map([['ids', rows(0, 11)]]));
    for (let r = 0; r < 11; r++) {
      const zeros = packed && unpackCodes(packed.subarray((r * packed.length) / 11), bits, blocks);
      for (let i = 0; i < width; i++) {
        const b = Math.floor(i / block);
        const zero = zeros ? (zeros[b] as number) : 2 ** (bits - 1);
        const want = Math.fround(((codes[r * width + i] as number) - zero) * (scales[r * blocks + b] as number));
        if (y[r * width + i] !== want) expect.fail(`row ${r}, element ${i} is ${y[r * width + i]}, not ${want}`);
      }
    }
    expect((await quantize(model, { embeddings: bits, symmetric, minElements: 0 })).changed).toBe(false);
  });

  it('leaves tables in 8 bits to lookups by rows, which are quicker, unless a layer multiplies with them', async () => {
    const model = tableModel(48);
    const feeds = new Map([['ids', rows(0, 11)]]);
    const before = await outputOf(model, feeds);
    await quantize(model, { minElements: 0 });
    expect(verify(model)).toEqual([]);
    expect(countOps(model)).toEqual({ Gather: 2, Cast: 1, Mul: 1 });
    const after = await outputOf(model, feeds);
    const largest = Math.max(...before.map(Math.abs));
    expect(Math.max(...after.map((y, at) => Math.abs(y - (before[at] as number))))).toBeLessThan(largest / 250);
    const tied = parseModel(
      head(
        'g (int64[n] ids) => (float[n,40] y) <float[40,64] t = random(1)> { h = Gather (t, ids)  u = Transpose <perm = [1, 0]> (t)  y = MatMul (h, u) }',
      ),
    );
    await quantize(tied, { bits: 8, minElements: 0 });
    expect(countOps(tied)).toMatchObject({ 'com.microsoft.GatherBlockQuantized': 1, 'com.microsoft.MatMulNBits': 1 });
  });

  it('takes tables of halves, tables in function bodies, and leaves them in float when told', async () => {
    const half = parseModel(
      head('g (int64[n] ids) => (float16[n,64] y) <float16[32,64] t = random(1)> { y = Gather (t, ids) }'),
    );
    expect((await quantize(half)).changed).toBe(true);
    await runOrt(half, [new Map([['ids', rows(0, 3)]])]);
    expect((await quantize(tableModel(64), { embeddings: 'float', minElements: 0 })).changed).toBe(false);
    expect((await quantize(tableModel(64), { layer: ['table=float'], minElements: 0 })).changed).toBe(false);
  });
});

const tied = {
  'behind a Transpose': 't = Transpose <perm = [1, 0]> (table)  y = MatMul (h, t)',
  'of a Gemm': 'y = Gemm <transB = 1> (h, table)',
};

describe('tied embeddings', () => {
  for (const [how, product] of Object.entries(tied)) {
    it.each([2, 4, 8] as const)(`${how} stay one tensor in %i bits`, async (bits) => {
      const before = parseModel(
        head(
          `g (int64[n] ids) => (float[n,40] y) <float[40,64] table = random(1)> { h = Gather (table, ids)  ${product} }`,
        ),
      );
      const model = cloneModel(before);
      const { applied } = await quantize(model, { bits, embeddings: bits, minElements: 0 });
      expect(applied).toHaveLength(2);
      expect(verify(model)).toEqual([]);
      expect(initializers(model)).toEqual([
        `table_q${bits}`,
        `table_q${bits}_shape`,
        'table_scales',
        'table_zero_points',
      ]);
      const gather = nodeOf(model, 'GatherBlockQuantized');
      const layer = nodeOf(model, 'MatMulNBits');
      expect(gather.input(0)?.producer?.input(0)).toBe(layer.input(1));
      expect(gather.input(2)).toBe(layer.input(2));
      expect(gather.input(3)).toBe(layer.input(3));
      const feeds = new Map([['ids', rows(0, 40)]]);
      // What is looked up is what is multiplied with: y = T̂·T̂ᵀ is symmetric.
      layer.setAttr('accuracy_level', 1);
      const y = await outputOf(model, feeds);
      const level = bits === 4 ? 1e-5 : 2e-2;
      for (let i = 0; i < 40; i++)
        for (let j = 0; j < i; j++)
          expect(Math.abs((y[i * 40 + j] as number) - (y[j * 40 + i] as number))).toBeLessThan(level * 64);
      await runOrt(model, [feeds], 'all');
      expect((await quantize(model, { bits, minElements: 0 })).changed).toBe(false);
    });
  }

  it('have the bits of embeddings where their layer has fewer, and that is told', async () => {
    const model = (): Model =>
      parseModel(
        head(
          `g (int64[n] ids) => (float[n,40] y) <float[40,64] table = random(1)> { h = Gather (table, ids)  ${tied['behind a Transpose']} }`,
        ),
      );
    const stored = async (options: Options) => {
      const own = model();
      const { notes } = await quantize(own, { minElements: 0, ...options });
      return { names: initializers(own)[0], notes };
    };
    const usual = await stored({ bits: 4 });
    expect(usual.names).toBe('table_q8');
    expect(usual.notes).toEqual([
      '"table" is embedding and output layer in one, stored once in 8 bits (2.56 kB); --embeddings 4 makes it 1.28 kB, and every score less exact',
    ]);
    const four = await stored({ bits: 4, embeddings: 4 });
    expect(four.names).toBe('table_q4');
    expect(four.notes).toEqual([
      '"table" is embedding and output layer in one, stored once in 4 bits (1.28 kB); 8 bits (2.56 kB) keep scores more exact',
    ]);
    expect((await stored({ bits: 4, embeddings: 2 })).names).toBe('table_q4');
    expect((await stored({ bits: 4, layer: ['y=4'] })).names).toBe('table_q4');
    expect(await stored({ bits: 8 })).toEqual({ names: 'table_q8', notes: [] });
  });

  it('that an exporter wrote out transposed are tied again', async () => {
    const model = parseModel(
      head(`g (int64[n] ids) => (float[n,40] y) <float[40,64] table = random(1), float[64,40] head = random(2)> {
        h = Gather (table, ids)  y = MatMul (h, head)
      }`),
    );
    const [table, output] = [...model.graph.initializers];
    const data = typedArray(table?.tensor as Tensor, 'float32');
    const turned = Float32Array.from(
      { length: 64 * 40 },
      (_, at) => data[(at % 40) * 64 + Math.floor(at / 40)] as number,
    );
    if (output) output.tensor = tensorFrom('float32', [64, 40], turned);
    const other = cloneModel(model);
    const feeds = new Map([['ids', rows(3, 4)]]);
    const expected = await outputOf(model, feeds);
    const { applied } = await quantize(model, { bits: 8, minElements: 0 });
    expect(applied).toContain('its weights are the table "table" again, transposed');
    expect(initializers(model)).toEqual(['table_q8', 'table_q8_shape', 'table_scales', 'table_zero_points']);
    const actual = await outputOf(model, feeds);
    for (const [i, want] of expected.entries()) expect(Math.abs((actual[i] as number) - want)).toBeLessThan(0.15);

    turned[5] = 3;
    const [, changed] = [...other.graph.initializers];
    if (changed) changed.tensor = tensorFrom('float32', [64, 40], turned);
    await quantize(other, { minElements: 0 });
    expect(initializers(other)).toContain('head_q4');
  });
});

describe('MatMulBnb4', () => {
  // Blocks run on from row to row: 83 inputs leave none of them whole, and 83·19 codes do not fill the last byte.
  it.each([
    [83, 19, 16],
    [64, 32, 64],
    [33, 7, 32],
  ])('reads %i×%i weights in blocks of %i as we packed them', async (k, n, block) => {
    const model = parseModel(
      head(`g (float[${k},${k}] x) => (float[${k},${n}] y) <float[${k},${n}] w = random(1)> { y = MatMul (x, w) }`),
    );
    const original = typedArray([...model.graph.initializers][0]?.tensor as Tensor, 'float32').slice();
    const { applied } = await quantize(model, { format: 'bnb4', block: block as 16, minElements: 0 });
    expect(applied[0]).toMatch(/weights in NF4, (19|2\d)\.\d dB/);
    const layer = nodeOf(model, 'MatMulBnb4');
    const [codes, absmax] = [bytesOf(layer, 1), floatsOf(layer, 2)];
    const eye = Float32Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
    const y = await outputOf(model, new Map([['x', tensorFrom('float32', [k, k], eye)]]));
    for (let i = 0; i < k; i++) {
      for (let j = 0; j < n; j++) {
        const at = j * k + i;
        const code = at % 2 === 0 ? (codes[at >> 1] as number) >> 4 : (codes[at >> 1] as number) & 15;
        const want = (nf4Values[code] as number) * (absmax[Math.floor(at / block)] as number);
        expect(y[i * n + j]).toBeCloseTo(want, 6);
        // The nearest of the sixteen values.
        const value = original[i * n + j] as number;
        for (const other of nf4Values)
          expect(Math.abs(value - want)).toBeLessThanOrEqual(
            Math.abs(value - other * (absmax[Math.floor(at / block)] as number)) + 1e-6,
          );
      }
    }
    expect((await quantize(model, { format: 'bnb4', minElements: 0 })).changed).toBe(false);
  });
});

describe('which layer gets how many bits', () => {
  const chain = (): Model =>
    parseModel(
      head(`g (float[3,64] x) => (float[3,96] y) <float[64,64] a = random(1), float[64,64] b = random(2), float[64,64] c = random(3), float[64,256] up = random(4), float[256,64] down = random(5), float[64,96] out = random(6)> {
        h1 = MatMul (x, a)  h2 = MatMul (h1, b)  h3 = MatMul (h2, c)
        h4 = MatMul (h3, up)  h5 = MatMul (h4, down)  y = MatMul (h5, out)
      }`),
    );
  const bits = (model: Model): string =>
    [...model.graph.nodes].map((node) => (node.op === 'MatMulNBits' ? node.int('bits') : 'f')).join(' ');

  it('the mixed recipe: outer layers, narrowing ones and the last in 8', async () => {
    const model = chain();
    await quantize(model, { recipe: 'mixed' });
    expect(bits(model)).toBe('8 4 4 4 8 8');
    await runOrt(model, edgeFeeds(model, 1));
  });

  it('names win over the recipe, the last of them over the others, with * for any letters', async () => {
    const model = chain();
    const { skips } = await quantize(model, { recipe: 'mixed', layer: ['h*=2', 'down=3', 'y=float', 'h2=8', 'zz*=4'] });
    expect(bits(model)).toBe('2 8 2 2 4 f');
    expect(skips).toEqual([
      'no MatMul, Gemm, Gather or Conv, or output or weight of one, has this name',
      'you asked for it to stay as it is (--layer y=float)',
    ]);
  });

  it('3 bits use eight values, in the 4-bit kernel', async () => {
    for (const symmetric of [true, false]) {
      const model = chain();
      await quantize(model, { bits: 3, symmetric });
      expect(bits(model)).toBe('4 4 4 4 4 4');
      const codes = unpackCodes(bytesOf(nodeOf(model, 'MatMulNBits'), 1), 4, 64 * 64);
      expect([Math.min(...codes), Math.max(...codes)]).toEqual(symmetric ? [4, 11] : [0, 7]);
    }
  });

  it('takes layers in function bodies, which import the operators then', async () => {
    const model = parseModel(
      `<ir_version: 8, opset_import: ["" : 17, "my" : 1]>
g (float[3,64] x) => (float[3,32] y) { y = my.F (x) }
<domain: "my", opset_import: ["" : 17]>
F (x) => (y) {
  w = Constant <value = float[64,32] random(1)> ()
  y = MatMul (x, w)
}`,
    );
    expect((await quantize(model)).changed).toBe(true);
    expect(verify(model)).toEqual([]);
    expect([...(model.functions[0]?.opsets ?? [])]).toContainEqual(['com.microsoft', 1]);
    await runOrt(model, edgeFeeds(model, 1), 'all');
  });
});
