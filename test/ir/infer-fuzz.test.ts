import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Attr, float, floats, int, ints, string } from '../../src/ir/attr.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { ruledOps } from '../../src/ir/infer/table.ts';
import { int64Vector, tensorOf } from '../../src/ir/tensor.ts';
import { type Dim, tensorType, type ValueType } from '../../src/ir/types.ts';

const dim: fc.Arbitrary<Dim> = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.constantFrom<Dim>('a', 'b', 'a+1', 'floor(a/2)', '/odd name', undefined, -1),
);
const type: fc.Arbitrary<ValueType | undefined> = fc.oneof(
  fc
    .record({
      dtype: fc.constantFrom<DType>('float32', 'int64', 'bool', 'uint8', 'float16', 'string'),
      shape: fc.option(fc.array(dim, { maxLength: 5 }), { nil: undefined }),
    })
    .map(({ dtype, shape }) => tensorType(dtype, shape)),
  fc.constantFrom<ValueType | undefined>(
    undefined,
    { kind: 'sequence', element: tensorType('float32', [2]) },
    { kind: 'opaque', bytes: Uint8Array.of(1) },
  ),
);
const input = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('value' as const), type }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('ints' as const),
      items: fc.array(fc.integer({ min: -3, max: 6 }), { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('floats' as const),
      items: fc.array(fc.float({ noNaN: true }), { maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'hole' as const }) },
);
const attrNames = [
  'axis',
  'axes',
  'perm',
  'pads',
  'strides',
  'dilations',
  'kernel_shape',
  'group',
  'keepdims',
  'to',
  'split',
  'starts',
  'ends',
  'num_heads',
  'kv_num_heads',
  'q_num_heads',
  'hidden_size',
  'blocksize',
  'equation',
  'direction',
  'auto_pad',
  'ceil_mode',
  'scales',
  'transA',
  'transB',
  'shape',
  'dtype',
  'N',
  'K',
  'batch_dims',
  'num_outputs',
  'num_scan_inputs',
  'output_shape',
  'signal_ndim',
  'allowzero',
  'new_axis',
  'bits',
  'layout',
  'value',
  'size',
  'dim',
  'step',
] as const;
const attr: fc.Arbitrary<Attr> = fc.oneof(
  fc.integer({ min: -6, max: 7 }).map(int),
  fc.array(fc.integer({ min: -6, max: 7 }), { maxLength: 5 }).map(ints),
  fc.float().map(float),
  fc.array(fc.float(), { maxLength: 4 }).map(floats),
  fc.constantFrom('SAME_UPPER', 'VALID', 'bidirectional', 'ij,jk->ik', '...i->i', '->', ',,', '').map(string),
  fc.constant<Attr>({ type: 'ref', value: 'nothing' }),
  fc.constant<Attr>({ type: 'tensor', value: tensorOf('float32', [2], [1, 2]) }),
);

describe('inference', () => {
  it('never fails, whatever a node is given', () => {
    const ops = ruledOps();
    expect(ops.length).toBeGreaterThan(250);
    fc.assert(
      fc.property(
        fc.constantFrom(...ops),
        fc.array(input, { maxLength: 9 }),
        fc.dictionary(fc.constantFrom(...attrNames), attr, { maxKeys: 8 }),
        fc.integer({ min: 1, max: 24 }),
        fc.array(type, { minLength: 1, maxLength: 4 }),
        ([domain, op], inputs, attrs, opset, types) => {
          const graph = new Graph('g');
          const values = inputs.map((given, index): Value | undefined => {
            if (given.kind === 'hole') return undefined;
            if (given.kind === 'value') return graph.addInput(`x${index}`, given.type);
            if (given.kind === 'ints') return graph.addInitializer(`c${index}`, int64Vector(given.items));
            return graph.addInitializer(`f${index}`, tensorOf('float32', [given.items.length], given.items));
          });
          const node = graph.append(op, {
            domain,
            inputs: values,
            attrs,
            outputs: types.map((_, index) => `y${index}`),
            types,
          });
          const model = new Model(
            graph,
            new Map([
              ['', opset],
              ['com.microsoft', 1],
              ['ai.onnx.ml', 3],
            ]),
          );
          const first = inferShapes(model);
          const before = node.outputs.map((value) => value?.type);
          inferShapes(model);
          // A second look finds the same.
          expect(node.outputs.map((value) => value?.type)).toEqual(before);
          for (const found of first.types.values()) {
            if (found.kind !== 'tensor' || !found.shape) continue;
            for (const extent of found.shape) {
              expect(['number', 'string']).toContain(typeof extent);
              if (typeof extent === 'number')
                expect(Number.isSafeInteger(extent) && extent >= 0, `${op} ${found.shape}`).toBe(true);
            }
          }
        },
      ),
      { numRuns: 4000, seed: 5 },
    );
  });
});
