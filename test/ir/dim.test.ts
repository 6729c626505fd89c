import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as dim from '../../src/ir/dim.ts';
import type { Dim } from '../../src/ir/types.ts';

describe('dimensions', () => {
  it.each<[Dim, Dim]>([
    [dim.addDims('a', 'b'), 'a+b'],
    [dim.addDims('seq', 1), 'seq+1'],
    [dim.subDims('seq', 1), 'seq-1'],
    [dim.subDims('total', 'seq'), 'total - seq'],
    [dim.subDims('a', 'a'), 0],
    [dim.mulDims('heads', 'batch'), 'batch*heads'],
    [dim.mulDims(dim.addDims('a', 1), dim.subDims('a', 1)), 'a*a-1'],
    [dim.mulDims(0, undefined), 0],
    [dim.addDims('a', undefined), undefined],
    [dim.floorDivDims('a', 2), 'floor(a/2)'],
    [dim.floorDivDims(dim.addDims(dim.mulDims('a', 2), 3), 2), 'a+1'],
    [dim.floorDivDims(dim.floorDivDims('a', 2), 2), 'floor(a/4)'],
    [dim.floorDivDims(dim.addDims(dim.mulDims('a', 2), 1), 4), 'floor(a/2)'],
    [
      dim.floorDivDims(dim.subDims(dim.addDims(dim.floorDivDims(dim.subDims('h', 1), 2), 1), 1), 2),
      dim.floorDivDims(dim.subDims('h', 1), 4),
    ],
    [dim.ceilDivDims('a', 2), 'floor((a+1)/2)'],
    [dim.ceilDivDims(dim.mulDims('a', 4), 2), '2*a'],
    [dim.exactDivDims('6*a*b', '3*b'), '2*a'],
    [dim.exactDivDims(dim.mulDims(dim.addDims('a', 'b'), 'c'), dim.addDims('b', 'a')), 'c'],
    [dim.exactDivDims('a', 2), undefined],
    [dim.minDims('a', 'a+1'), 'a'],
    [dim.maxDims('a', 'a+1'), 'a+1'],
    [dim.maxDims(0, 'a'), 'a'],
    [dim.maxDims(0, 'a - b'), 'max(0,a - b)'],
    [dim.minDims(dim.minDims('c', 'a'), 'b'), 'min(a,b,c)'],
    [dim.maxDims(0, dim.subDims('a', dim.floorDivDims('a', 2))), '-floor(a/2)+a'],
    [dim.maxDims(0, dim.subDims('a', dim.minDims('a', 64))), 'a - min(64,a)'],
    [dim.productDims(['a', 2, 'b']), '2*a*b'],
    [dim.productDims([undefined, 0]), 0],
    [dim.productDims([]), 1],
  ])('%#: %s is %s', (actual, expected) => {
    expect(dim.normalizeDim(actual)).toBe(dim.normalizeDim(expected));
  });

  it.each<[string, Dim]>([
    ['2 * seq + 1', '2*seq+1'],
    ['past_sequence_length + sequence_length', 'past_sequence_length+sequence_length'],
    ['s0*(s1 + 2)', 's0*s1+2*s0'],
    ['s0**2', 's0*s0'],
    ['floor(s0/2)', 'floor(s0/2)'],
    ['s0//2', 'floor(s0/2)'],
    ['ceiling(s0/2)', 'floor((s0+1)/2)'],
    ['Max(1, s0)', 'max(1,s0)'],
    ['7', 7],
    ['batch-size', 'batch-size'],
    ['a - b', 'a - b'],
    ['onnx::Shape_12', 'onnx::Shape_12'],
    ['/model/Range_output_0', '/model/Range_output_0'],
    ['we ird', 'we ird'],
    ['floor(', 'floor('],
    ['a/b', 'a/b'],
    ['', ''],
  ])('reads %s', (text, expected) => {
    expect(dim.normalizeDim(text)).toBe(expected);
  });

  it('keeps opaque names whole inside expressions', () => {
    const sum = dim.addDims(dim.mulDims('we ird', 2), 1);
    expect(sum).toBe("2*'we ird'+1");
    expect(dim.substituteDim(sum, new Map([['we ird', 5]]))).toBe(11);
    expect([...dim.symbolsOf(sum)]).toEqual(['we ird']);
  });

  it('substitutes numbers and expressions', () => {
    const bound = new Map<string, number | string>([
      ['a', 7],
      ['b', 'c+1'],
    ]);
    expect(dim.substituteDim('floor((a+2)/4)+b', bound)).toBe('c+3');
    expect(
      dim.substituteDim(
        'max(0,a - b)',
        new Map([
          ['a', 3],
          ['b', 5],
        ]),
      ),
    ).toBe(0);
    expect(dim.substituteDim('batch-size', new Map([['batch-size', 4]]))).toBe(4);
    expect(dim.substituteDim('d', bound)).toBe('d');
  });

  it('knows what is equal, different, and a symbol', () => {
    expect(dim.equalDims('a + b', 'b+a')).toBe(true);
    expect(dim.equalDims(undefined, undefined)).toBe(false);
    expect(dim.equalDims('a', 'b')).toBe(false);
    expect(dim.differentDims('a', -1)).toBe(true);
    expect(dim.differentDims('a+1', 'a')).toBe(true);
    expect(dim.differentDims('a', 1)).toBe(false);
    expect(dim.symbolOf('batch')).toBe('batch');
    expect(dim.symbolOf('2*batch')).toBeUndefined();
    expect(dim.symbolOf('floor(batch/2)')).toBeUndefined();
  });

  it('agrees with numbers, whatever the expression', () => {
    const leaf = fc.oneof(fc.constantFrom<Dim>('a', 'b', 'c'), fc.integer({ min: 0, max: 9 }));
    type Tree = { readonly op: string; readonly left: Tree; readonly right: Tree } | Dim;
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf as fc.Arbitrary<Tree>,
        fc.record({
          op: fc.constantFrom('add', 'sub', 'mul', 'floor', 'min', 'max'),
          left: tie('tree'),
          right: tie('tree'),
        }) as fc.Arbitrary<Tree>,
      ),
    }));
    const values = new Map([
      ['a', 5],
      ['b', 2],
      ['c', 11],
    ]);
    const symbolic = (node: Tree): Dim => {
      if (typeof node !== 'object') return node;
      const [x, y] = [symbolic(node.left), symbolic(node.right)];
      if (node.op === 'add') return dim.addDims(x, y);
      if (node.op === 'sub') return dim.subDims(x, y);
      if (node.op === 'mul') return dim.mulDims(x, y);
      if (node.op === 'min') return dim.minDims(x, y);
      return node.op === 'max' ? dim.maxDims(x, y) : dim.floorDivDims(x, 3);
    };
    const concrete = (node: Tree): number => {
      if (typeof node !== 'object') return typeof node === 'string' ? (values.get(node) as number) : (node as number);
      const [x, y] = [concrete(node.left), concrete(node.right)];
      if (node.op === 'add') return x + y;
      if (node.op === 'sub') return x - y;
      if (node.op === 'mul') return x * y;
      if (node.op === 'min') return Math.min(x, y);
      return node.op === 'max' ? Math.max(x, y) : Math.floor(x / 3);
    };
    fc.assert(
      fc.property(tree, (node) => {
        const result = symbolic(node);
        fc.pre(result !== undefined);
        expect(dim.substituteDim(result, values), String(result)).toEqual(concrete(node) + 0 || 0);
        expect(dim.normalizeDim(result)).toBe(result);
        if (dim.isNonNegativeDim(result)) expect(concrete(node)).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 500, seed: 11 },
    );
  });
});
