import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { float, floats, int, ints, strings } from '../../src/ir/attr.ts';
import { type DType, dtypeBits, dtypes } from '../../src/ir/dtype.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { elementCount, stringTensor, tensorFromBytes, typedArray } from '../../src/ir/tensor.ts';
import { compareModels } from '../../src/ir/text/canonical.ts';
import { minifloatToNumber, numberToMinifloat } from '../../src/ir/text/minifloat.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { printGraph, printModel } from '../../src/ir/text/print.ts';
import { formatFloat } from '../../src/ir/text/scalar.ts';
import { tensorType } from '../../src/ir/types.ts';
import { verify } from '../../src/ir/verify.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';

const header = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>\n';
const all = { elements: Number.POSITIVE_INFINITY };

function roundTrip(model: Model): Model {
  const text = printModel(model, all);
  const again = parseModel(text);
  expect(printModel(again, all)).toBe(text);
  return again;
}

describe('text form', () => {
  it('reads every part of a model and writes it back the same', () => {
    const text = `<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1, "local" : 1], producer_name: "pytorch", model_version: 3, doc_string: "two\\nlines", metadata_props: ["k" : "v"]>
main (float[batch,3,"we ird",?] x doc "the input", int64[2*seq+1,floor(x/2)] ids, bool cond, untyped, seq(float[]) s, optional(map(int64, string)) o) => (float[batch,10] y, z)
<
  float[2,2] w = {1, 2.5, -inf, nan},
  int64 scalar = {-9223372036854775808},
  string[2] words = {"a\\"b", "\\xff\\n"}
>
{
  ["/layer/conv 1"] float[N] h = Conv <pads = [1, 1], group = 1, alpha = 1.0, t = int4[3] {-8, 7, 1}, e: floats = [], f = [1.0, -inf], s = "q", ss = ["a", "b"]> (x, w)
  a, , c = Split (h) doc "note" meta {"k" : "v"}
  , b2 = TopK (a, scalar)
  "758" = Hole ()
  y = com.microsoft.FusedConv:big (h, , w)
  z = If <then_branch = t1 () => (float[N] t)
    {
      t = Add (h, "758")
    }, else_branch = e1 () => (float u)
    <
      float u = {0.1}
    >
    {
    }> (cond)
  Print (z)
}
<domain: "local", opset_import: ["" : 17], overload: "v2">
Foo <alpha, beta = 1.0> (p) => (q)
{
  q = LeakyRelu <alpha = @alpha> (p)
}
`;
    const model = parseModel(text);
    expect(printModel(model, all)).toBe(text);
    const [conv, split] = [...model.graph.nodes];
    expect(conv?.name).toBe('/layer/conv 1');
    expect(conv?.attr('alpha')).toEqual(float(1));
    expect(conv?.attr('group')).toEqual(int(1));
    expect(conv?.attr('pads')).toEqual(ints([1, 1]));
    expect(conv?.attr('e')).toEqual(floats([]));
    expect(conv?.attr('f')).toEqual(floats([1, -Infinity]));
    expect(conv?.attr('ss')).toEqual(strings(['a', 'b']));
    expect(split?.outputs.map((value) => value?.name)).toEqual(['a', undefined, 'c']);
    expect(split?.meta?.get('k')).toBe('v');
    expect(model.graph.inputs[0]?.type).toEqual({
      kind: 'tensor',
      dtype: 'float32',
      shape: ['batch', 3, 'we ird', undefined],
    });
    expect(model.graph.inputs[2]?.type).toEqual({ kind: 'tensor', dtype: 'bool', shape: [] });
    expect(model.graph.inputs[3]?.type).toBeUndefined();
    const words = [...model.graph.initializers].find((value) => value.name === 'words');
    expect(words?.initializer?.strings?.()[1]).toEqual(Uint8Array.of(0xff, 10));
    const branch = [...model.graph.nodes].find((node) => node.op === 'If')?.subgraphs[0];
    expect(branch?.firstNode?.input(0)).toBe(conv?.output());
    expect(branch?.ownerNode?.op).toBe('If');
    expect(model.functions[0]?.overload).toBe('v2');
    expect(model.functions[0]?.attributes).toEqual(['alpha']);
  });

  it('quotes what would read as something else', () => {
    const dims = [
      'floor((',
      'floor(a) ',
      ' floor(a)',
      '-floor(a)',
      'floor(a))',
      ')floor(',
      'floor(a)(',
      '(floor(a))',
      'N ',
      'floor(a/2)+1',
    ];
    const graph = new Graph('g');
    graph.addInput('x', tensorType('float32', dims));
    for (const op of ['float', 'map', 'seq']) graph.append(op, { inputs: [], attrs: { a: 1 } });
    graph.append('float', { inputs: [], domain: 'com.x' });
    const again = roundTrip(new Model(graph, 17));
    expect(again.graph.inputs[0]?.shape).toEqual(dims);
    expect([...again.graph.nodes].map(({ domain, op }) => [domain, op])).toEqual([
      ['', 'float'],
      ['', 'map'],
      ['', 'seq'],
      ['com.x', 'float'],
    ]);
    expect(printModel(again)).toContain('(floor(a)),"N ",floor(a/2)+1]');
  });

  it('writes what would drive a terminal, or turn its text around, as bytes', () => {
    const name = 'a\u009b31m\u0085b\u202ec\u2066d\u200fe';
    const graph = new Graph(name);
    graph.addInput(name, tensorType('float32', [name, 'Größe', '日本']));
    const model = new Model(graph, 17);
    model.meta.set(name, name);
    const text = printModel(model);
    expect(text).not.toMatch(/[\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/);
    expect(text).toContain('"a\\xc2\\x9b31m\\xc2\\x85b\\xe2\\x80\\xae');
    expect(text).toContain('"Größe","日本"');
    const again = roundTrip(model);
    expect([again.graph.name, again.graph.inputs[0]?.name, again.meta.get(name)]).toEqual([name, name, name]);
    expect(again.graph.inputs[0]?.shape).toEqual([name, 'Größe', '日本']);
  });

  it('says where a hostile text goes wrong', () => {
    const cases: [string, RegExp][] = [
      [`g (${'seq('.repeat(100_000)}`, /line 2:\d+: what stands here is nested more than 200 deep/],
      [`g () => () {${'y = If <t = g () => () {'.repeat(10_000)}`, /line 2:\d+: .*nested/],
      [`g () => () { Foo <s = "${'a'.repeat(12_000_000)}`, /line 2:23: this string has no end/],
      ['g () => () { Foo <s = "\\', /line 2:23: this string has no end/],
      ['g () => () { Foo <a = 9223372036854775808> () }', /line 2:23: an integer has 64 bits at most/],
      [`g () => () { Foo <a = [1, ${'9'.repeat(100_000)}]> () }`, /line 2:27: an integer has 64 bits/],
      ['g (float[9007199254740993] x) => () {}', /line 2:10: this dimension is too large/],
      [`g () => () <int64 x = {${'9'.repeat(100_000)}}> {}`, /line 2:23: Infinity is no int64/],
      ['g () => () <int8 x = {constructor}> {}', /line 2:23: expected a number instead of "constructor"/],
      ['g () => () { Foo <a = [@x]> () }', /line 2:27: this is no list of type refs/],
    ];
    for (const [text, why] of cases) {
      const parse = () => parseModel(header + text);
      expect(parse, text.slice(0, 80)).toThrow(why);
      expect(parse).toThrow(UserError);
    }
  });

  it('reads strings, comments and blanks of any length', () => {
    const long = 'a\\\\'.repeat(2_000_000);
    const text = `${header}#${'c'.repeat(12_000_000)}\n${' '.repeat(12_000_000)}g () => () { Foo <s = "${long}"> () }`;
    const [node] = parseModel(text).graph.nodes;
    expect(node?.string('s')?.length).toBe(4_000_000);
  });

  it('reads nodes in any order', () => {
    const model = parseModel(`${header}g (float x) => (float z) { z = Relu (y)  y = Abs (x) }`);
    expect([...model.graph.nodes].map((node) => node.op)).toEqual(['Relu', 'Abs']);
    expect(model.graph.firstNode?.input(0)?.producer?.op).toBe('Abs');
  });

  it('keeps an initializer behind a graph input one value', () => {
    const model = parseModel(`${header}g (float[2] x, float[2] w) => (y) < float[2] w = {1, 2} > { y = Add (x, w) }`);
    const w = model.graph.inputs[1];
    expect(w?.initializer?.shape).toEqual([2]);
    expect(model.graph.initializers.size).toBe(1);
    roundTrip(model);
  });

  it('carries every element type bit by bit', () => {
    const graph = new Graph('g');
    for (const dtype of dtypes) {
      if (dtype === 'string') {
        graph.addInitializer('string', stringTensor([1], [Uint8Array.of(0xc3, 0xa9, 0, 0xff)]));
        continue;
      }
      const count = dtypeBits(dtype) <= 8 ? 2 ** dtypeBits(dtype) : 40;
      graph.addInitializer(dtype, tensorFromBytes(dtype, [count], patterns(dtype, count)));
    }
    const again = roundTrip(new Model(graph, 17));
    const read = new Map([...again.graph.initializers].map((value) => [value.name, value.initializer]));
    for (const value of graph.initializers) {
      const tensor = read.get(value.name);
      expect(tensor?.dtype).toBe(value.dtype);
      if (value.dtype === 'string') expect(tensor?.strings?.()).toEqual(value.initializer?.strings?.());
      else expect(tensor?.bytes(), value.name).toEqual(value.initializer?.bytes());
    }
  });

  it('fills tensors the same way every time', () => {
    const model = parseModel(
      `${header}g () => () < float[16,3,3,3] w = random(7), int8[100] q = random(7), uint4[9] u = random(1), float[2] r = random(1, 5, 6), int64[3] i = range(2, 3), bool[4] b = fill(true) > {}`,
    );
    const data = new Map([...model.graph.initializers].map((value) => [value.name, value.initializer]));
    const w = typedArray(data.get('w') as never, 'float32') as Float32Array;
    expect(w[0]).toBeCloseTo(-0.9764, 3);
    expect(Math.min(...w)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...w)).toBeLessThan(1);
    expect(Math.max(...w) - Math.min(...w)).toBeGreaterThan(1.8);
    const q = typedArray(data.get('q') as never, 'int8') as Int8Array;
    expect([Math.min(...q), Math.max(...q)]).toEqual([-8, 7]);
    expect(Array.from(typedArray(data.get('i') as never, 'int64') as BigInt64Array)).toEqual([2n, 5n, 8n]);
    expect(data.get('b')?.bytes()).toEqual(Uint8Array.of(1, 1, 1, 1));
    for (const value of typedArray(data.get('r') as never, 'float32') as Float32Array)
      expect(value).toBeGreaterThanOrEqual(5);
  });

  it.each([
    ['unknown value', 'g () => () { y = Relu (nope) }', '2:24: nothing defines the value "nope"'],
    ['no type for an empty list', 'g (x) => () { y = R <a = []> (x) }', 'an empty list needs its type'],
    ['elided data', 'g () => () < float[2] w = {...} > {}', 'was left out'],
    ['wrong count', 'g () => () < float[2] w = {1} > {}', '1 values do not fill float32[2]'],
    ['value out of range', 'g () => () < int8[1] w = {200} > {}', '200 is no int8'],
    ['symbolic tensor', 'g () => () < float[N] w = {1} > {}', 'needs a fixed shape'],
    ['open string', 'g () => () { y = R <a = "x> () }', 'this string has no end'],
    ['no arrow', 'g () () {}', 'expected "=>" instead of "("'],
    ['end of text', 'g () => () {', 'instead of the end of the text'],
    ['mixed list', 'g (x) => () { y = R <a = [1, "b"]> (x) }', 'different types'],
    ['attribute twice', 'g (x) => () { y = R <a = 1, a = 2> (x) }', 'attribute "a" stands twice'],
  ])('says where it is wrong: %s', (_, body, message) => {
    let error: unknown;
    try {
      parseModel(`${header}${body}`);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).code).toBe('text-syntax');
    expect((error as UserError).message).toContain(message);
    expect((error as UserError).message).toMatch(/^Model text, line \d+:\d+: /);
  });

  it('prints a subgraph alone, captured values under their names', () => {
    const model = parseModel(
      `${header}g (x, c) => (y) { h = Relu (x)  y = If <then_branch = t () => (a) { a = Neg (h) }, else_branch = e () => (b) { b = Abs (x) }> (c) }`,
    );
    const branch = model.graph.lastNode?.subgraphs[0] as Graph;
    expect(printGraph(branch)).toBe('t () => (a)\n{\n  a = Neg (h)\n}');
  });

  it('elides long tensors without reading them', () => {
    const graph = new Graph('g');
    graph.addInitializer('w', {
      dtype: 'float32',
      shape: [1000, 1000],
      byteLength: 4e6,
      bytes: () => {
        throw new Error('read');
      },
    });
    expect(printModel(new Model(graph, 17))).toContain('float[1000,1000] w = {...}');
  });
});

describe.skipIf(!haveSharedModels)('real models as text', () => {
  it.each([
    ['wine-mlp', undefined],
    ['mnist-cntk', undefined],
    ['wine-gbdt', undefined],
    ['silero-vad', undefined],
    ['gtcrn', 'model_unsimplified.onnx'],
  ])('%s %s reads back as the same model', (slug, file) => {
    const model = decodeModel(readFileSync(sharedModel(slug, file)));
    const again = roundTrip(model);
    expect(compareModels(again, model, { innerTypes: true, notes: true })).toBeUndefined();
    expect(verify(again)).toEqual([]);
  });
});

describe('numbers in text', () => {
  it('prints float32 so that it reads back, and no longer than needed', () => {
    expect(formatFloat(Math.fround(0.1), true)).toBe('0.1');
    expect(formatFloat(1, true)).toBe('1.0');
    expect(formatFloat(-0, true)).toBe('-0.0');
    expect(formatFloat(Math.fround(3.4028234e38), true)).toBe('3.4028235e+38');
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (value) => {
        expect(Math.fround(Number(formatFloat(value, true).replace('inf', 'Infinity')))).toBe(value);
      }),
    );
  });

  it.each<[DType, number]>([
    ['float16', 65536],
    ['bfloat16', 65536],
    ['float8e4m3fn', 256],
    ['float8e4m3fnuz', 256],
    ['float8e5m2', 256],
    ['float8e5m2fnuz', 256],
    ['float4e2m1', 16],
    ['float8e8m0', 256],
  ])('%s: every pattern survives number and back', (dtype, count) => {
    for (let bits = 0; bits < count; bits++) {
      const value = minifloatToNumber(dtype, bits) as number;
      if (!Number.isNaN(value)) expect(numberToMinifloat(dtype, value), `${dtype} ${bits} ${value}`).toBe(bits);
      else expect(minifloatToNumber(dtype, numberToMinifloat(dtype, value) as number)).toBeNaN();
    }
  });

  it('rounds to nearest, ties to even', () => {
    expect(numberToMinifloat('float16', 0.1)).toBe(0x2e66);
    expect(numberToMinifloat('float16', 65504)).toBe(0x7bff);
    expect(numberToMinifloat('float16', 65520)).toBe(0x7c00);
    expect(numberToMinifloat('float16', 65519)).toBe(0x7bff);
    expect(numberToMinifloat('float16', 2 ** -24)).toBe(1);
    expect(numberToMinifloat('float16', 2 ** -25)).toBe(0);
    expect(numberToMinifloat('float8e4m3fn', 448)).toBe(0x7e);
    expect(numberToMinifloat('float8e4m3fn', 1000)).toBe(0x7e);
    expect(numberToMinifloat('float4e2m1', 2.5)).toBe(4);
    expect(numberToMinifloat('float4e2m1', 3.5)).toBe(6);
  });
});

/** Bytes without NaN, whose payload text does not carry. */
function patterns(dtype: DType, count: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((count * dtypeBits(dtype)) / 8));
  const bits = dtypeBits(dtype);
  for (let index = 0; index < bytes.length; index++) bytes[index] = (index * 37 + 11) & 0xff;
  if (dtype === 'bool') return bytes.fill(1).subarray(0, elementCount([count]));
  if (bits === 8) {
    for (let index = 0; index < count; index++) {
      const value = minifloatToNumber(dtype, index);
      bytes[index] = value !== undefined && Number.isNaN(value) ? 0 : index;
    }
    return bytes;
  }
  // Clears one bit of every top byte, so that no exponent is all ones.
  if (bits >= 16 && !['int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'].includes(dtype)) {
    const size = dtype === 'complex64' ? 4 : dtype === 'complex128' ? 8 : bits / 8;
    for (let index = size - 1; index < bytes.length; index += size) bytes[index] = (bytes[index] as number) & 0xbf;
  }
  return bytes;
}
