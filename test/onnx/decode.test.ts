import { onnx } from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import type { Node } from '../../src/ir/graph.ts';
import { toNumbers } from '../../src/ir/tensor.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { concat, field, floats, graph, modelBytes, smallModel, unknownField, valueInfo } from './support/proto.ts';

const nodesOf = (bytes: Uint8Array): Node[] => [...decodeModel(bytes).graph.nodes];

describe('models become graphs', () => {
  test('values, types, uses and initializers', () => {
    const model = decodeModel(smallModel());
    const [add, relu] = [...model.graph.nodes];
    expect([model.irVersion, model.opset, model.producerName, model.meta.get('k')]).toEqual([8, 17, 'test', 'v']);
    expect([add?.op, relu?.op]).toEqual(['Add', 'Relu']);
    expect(relu?.input(0)).toBe(add?.output());
    expect(add?.output().type).toEqual({ kind: 'tensor', dtype: 'float32', shape: [2] });
    const weight = add?.input(1);
    expect(weight?.constant && toNumbers(weight.constant)).toEqual([1, 2]);
    expect(model.graph.outputs[0]).toBe(relu?.output());
  });

  test('nodes in any order', () => {
    const bytes = modelBytes(
      graph(
        [
          { op: 'Relu', in: ['h'], out: ['y'] },
          { op: 'Neg', in: ['x'], out: ['h'] },
        ],
        { input: [valueInfo('x')], output: [valueInfo('y')] },
      ),
    );
    const [relu, neg] = nodesOf(bytes);
    expect(relu?.input(0)).toBe(neg?.output());
    expect(encodeModel(decodeModel(bytes))).toEqual(bytes);
  });

  test('a cycle is loaded: whether it may run is verify’s to say', () => {
    const bytes = modelBytes(
      graph([
        { op: 'Add', in: ['b', 'b'], out: ['a'] },
        { op: 'Neg', in: ['a'], out: ['b'] },
      ]),
    );
    expect(nodesOf(bytes)).toHaveLength(2);
  });

  test('holes in inputs and outputs, also at the end', () => {
    const bytes = modelBytes(
      graph([{ op: 'Clip', in: ['x', '', 'x', ''], out: ['', 'y', ''] }], {
        input: [valueInfo('x')],
        output: [valueInfo('y')],
      }),
    );
    const [clip] = nodesOf(bytes);
    expect(clip?.inputs.map((value) => value?.name)).toEqual(['x', undefined, 'x']);
    expect(clip?.outputs.map((value) => value?.name)).toEqual([undefined, 'y']);
    expect(encodeModel(decodeModel(bytes))).toEqual(bytes);
  });

  test('initializers that are inputs: constant before IR version 4 only', () => {
    const content = graph([{ op: 'Add', in: ['x', 'w'], out: ['y'] }], {
      input: [valueInfo('x'), valueInfo('w')],
      output: [valueInfo('y')],
      initializer: [floats('w', [1, 2])],
    });
    const old = decodeModel(modelBytes(content, { irVersion: 3 })).graph.inputs[1];
    const now = decodeModel(modelBytes(content)).graph.inputs[1];
    expect([old?.isGraphInput, old?.initializer !== undefined, old?.constant !== undefined]).toEqual([
      true,
      true,
      true,
    ]);
    expect([now?.isGraphInput, now?.initializer !== undefined, now?.constant !== undefined]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test('subgraphs capture the same value object', () => {
    const branch = (name: string): onnx.IAttributeProto => ({
      name,
      type: 5,
      g: { name, node: [{ opType: 'Neg', input: ['h'], output: ['r'] }], output: [valueInfo('r')] },
    });
    const bytes = modelBytes(
      graph(
        [
          { op: 'If', in: ['c'], out: ['y'], attrs: [branch('then_branch'), branch('else_branch')] },
          { op: 'Relu', in: ['x'], out: ['h'] },
        ],
        { input: [valueInfo('c', 9, []), valueInfo('x')], output: [valueInfo('y')] },
      ),
    );
    const model = decodeModel(bytes);
    const [branching, relu] = [...model.graph.nodes];
    const inner = branching?.subgraphs[0];
    expect(inner?.firstNode?.input(0)).toBe(relu?.output());
    expect([inner?.parent, inner?.root]).toEqual([model.graph, model.graph]);
    expect(relu?.output().useCount).toBe(2);
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('functions with referenced attributes', () => {
    const bytes = modelBytes(
      graph([{ op: 'Leaky', domain: 'my', in: ['x'], out: ['y'] }], {
        input: [valueInfo('x')],
        output: [valueInfo('y')],
      }),
      {
        opsetImport: [
          { domain: '', version: 17 },
          { domain: 'my', version: 1 },
        ],
        functions: [
          {
            name: 'Leaky',
            domain: 'my',
            input: ['a'],
            output: ['b'],
            attribute: ['alpha'],
            opsetImport: [{ domain: '', version: 17 }],
            node: [
              {
                opType: 'LeakyRelu',
                input: ['a'],
                output: ['b'],
                attribute: [{ name: 'alpha', refAttrName: 'alpha', type: 1 }],
              },
            ],
          },
        ],
      },
    );
    const model = decodeModel(bytes);
    const [fn] = model.functions;
    expect([fn?.domain, fn?.name, fn?.attributes, fn?.opsets.get('')]).toEqual(['my', 'Leaky', ['alpha'], 17]);
    expect(fn?.body.firstNode?.attr('alpha')).toMatchObject({ type: 'ref', value: 'alpha' });
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('types: symbols, unknown and negative extents, sequences, maps, optionals', () => {
    const inner = valueInfo('t', 7, ['n', 3]).type as onnx.ITypeProto;
    const dim = [{ dimValue: -1 }, { dimParam: '' }, {}, { dimParam: 'batch' }];
    const bytes = modelBytes(
      graph([], {
        input: [
          { name: 'a', type: { tensorType: { elemType: 1, shape: { dim } } } },
          { name: 'b', type: { sequenceType: { elemType: inner } } },
          { name: 'c', type: { mapType: { keyType: 7, valueType: inner } } },
          { name: 'd', type: { optionalType: { elemType: inner } } },
          { name: 'e', type: { tensorType: { elemType: 1 } } },
          { name: 'f', type: { tensorType: { elemType: 99 } } },
          { name: 'g' },
        ],
      }),
    );
    const model = decodeModel(bytes);
    const tensor = { kind: 'tensor', dtype: 'int64', shape: ['n', 3] };
    expect(model.graph.inputs.slice(0, 5).map((value) => value.type)).toEqual([
      { kind: 'tensor', dtype: 'float32', shape: [undefined, undefined, undefined, 'batch'] },
      { kind: 'sequence', element: tensor },
      { kind: 'map', key: 'int64', value: tensor },
      { kind: 'optional', element: tensor },
      { kind: 'tensor', dtype: 'float32' },
    ]);
    expect(model.graph.inputs[5]?.type?.kind).toBe('opaque');
    expect(model.graph.inputs[6]?.type).toBeUndefined();
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('attributes of every type', () => {
    const attrs: onnx.IAttributeProto[] = [
      { name: 'f', type: 1, f: 0.5 },
      { name: 'i', type: 2, i: -7 },
      { name: 's', type: 3, s: Buffer.from('é') },
      { name: 't', type: 4, t: floats('', [1]) },
      { name: 'fs', type: 6, floats: [1, 2] },
      { name: 'is', type: 7, ints: [3, -4] },
      { name: 'ss', type: 8, strings: [Buffer.from('a'), Uint8Array.of(0xff)] },
      { name: 'ts', type: 9, tensors: [floats('', [1]), floats('', [2])] },
      { name: 'sp', type: 11, sparseTensor: { dims: [1] } },
      { name: 'zero', type: 2 },
      { name: 'old', i: 5 },
    ];
    const bytes = modelBytes(graph([{ op: 'X', domain: 'd', attrs }]));
    const [node] = nodesOf(bytes);
    const seen = [...(node?.attrs ?? [])].map(([name, attr]) => [name, attr.type]);
    expect(seen.map(([, type]) => type)).toEqual([
      'float',
      'int',
      'string',
      'tensor',
      'floats',
      'ints',
      'strings',
      'tensors',
      'opaque',
      'int',
      'int',
    ]);
    expect([node?.float('f'), node?.int('i'), node?.string('s'), node?.ints('is')]).toEqual([0.5, -7, 'é', [3, -4]]);
    expect([node?.int('zero'), node?.int('old')]).toEqual([0, 5]);
    expect(encodeModel(decodeModel(bytes))).toEqual(bytes);
  });

  test('opsets: both spellings of the default domain, the highest version counts', () => {
    const bytes = smallModel({
      opsetImport: [
        { domain: 'ai.onnx', version: 13 },
        { domain: '', version: 17 },
        { domain: 'com.microsoft', version: 1 },
      ],
    });
    const model = decodeModel(bytes);
    expect([...model.opsets]).toEqual([
      ['', 17],
      ['com.microsoft', 1],
    ]);
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('a sparse initializer is a constant and stays sparse in the file', () => {
    const bytes = modelBytes(
      graph([{ op: 'Add', in: ['x', 's'], out: ['y'] }], {
        input: [valueInfo('x', 1, [3])],
        output: [valueInfo('y', 1, [3])],
        sparseInitializer: [
          {
            values: { name: 's', dims: [1], dataType: 1, floatData: [4] },
            indices: { dims: [1], dataType: 7, int64Data: [2] },
            dims: [3],
          },
        ],
      }),
    );
    const model = decodeModel(bytes);
    const value = model.graph.firstNode?.input(1);
    expect(value?.constant && toNumbers(value.constant)).toEqual([0, 0, 4]);
    if (value) value.name = 'renamed';
    const back = onnx.ModelProto.decode(encodeModel(model)).graph;
    expect([back?.initializer?.length, back?.sparseInitializer?.[0]?.values?.name]).toEqual([0, 'renamed']);
  });

  test('of two initializers of one name the last counts; both stay in the file', () => {
    const bytes = modelBytes(
      graph([{ op: 'Add', in: ['x', 'w'], out: ['y'] }], {
        input: [valueInfo('x')],
        output: [valueInfo('y')],
        initializer: [floats('w', [1, 1]), floats('w', [5, 6])],
      }),
    );
    const model = decodeModel(bytes);
    const value = model.graph.firstNode?.input(1);
    expect(value?.constant && toNumbers(value.constant)).toEqual([5, 6]);
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('names that are no UTF-8 keep their bytes', () => {
    const name = Uint8Array.of(0x68, 0xff);
    const rename = (bytes: Uint8Array): Uint8Array =>
      new Uint8Array(
        Buffer.from(
          Buffer.from(bytes).toString('latin1').replaceAll('hh', Buffer.from(name).toString('latin1')),
          'latin1',
        ),
      );
    const bytes = rename(
      modelBytes(
        graph(
          [
            { op: 'Neg', in: ['x'], out: ['hh'] },
            { op: 'Relu', in: ['hh'], out: ['y'] },
          ],
          { input: [valueInfo('x')], output: [valueInfo('y')] },
        ),
      ),
    );
    const model = decodeModel(bytes);
    const relu = model.graph.lastNode;
    if (relu) relu.name = 'changed';
    const back = decodeModel(encodeModel(model));
    expect(back.graph.lastNode?.input(0)).toBe(back.graph.firstNode?.output());
    expect(Buffer.from(encodeModel(model)).includes(Buffer.from(name))).toBe(true);
  });
});

describe('broken graphs are refused by name', () => {
  const x = { input: [valueInfo('x')], output: [valueInfo('y')] };
  test.each<[string, onnx.IGraphProto, RegExp]>([
    ['a value nobody makes', graph([{ op: 'Relu', in: ['nowhere'], out: ['y'] }], x), /Relu "y" reads "nowhere"/],
    ['an output nobody makes', graph([], x), /output "y" is made by nothing/],
    [
      'a value made twice',
      graph(
        [
          { op: 'Relu', in: ['x'], out: ['y'], name: 'a' },
          { op: 'Neg', in: ['x'], out: ['y'], name: 'b' },
        ],
        x,
      ),
      /"y" is made both by Relu "a" and by Neg "b"/,
    ],
    [
      'an input made again',
      graph([{ op: 'Relu', in: ['x'], out: ['x'] }], x),
      /"x" is made both by the graph as an input/,
    ],
    ['an input twice', graph([], { input: [valueInfo('x'), valueInfo('x')] }), /"x" is listed twice/],
    ['an initializer without a name', graph([], { initializer: [floats('', [1])] }), /initializer has no name/],
    [
      'an attribute twice',
      graph(
        [
          {
            op: 'Relu',
            in: ['x'],
            out: ['y'],
            attrs: [
              { name: 'a', type: 2 },
              { name: 'a', type: 2 },
            ],
          },
        ],
        x,
      ),
      /attribute "a" of Relu "y" is given twice/,
    ],
    [
      'a tensor attribute without a tensor',
      graph([{ op: 'Constant', out: ['y'], attrs: [{ name: 'value', type: 4 }] }], x),
      /attribute "value" of Constant "y" says that it holds a tensor/,
    ],
  ])('%s', (_, content, message) => {
    expect(() => decodeModel(modelBytes(content))).toThrow(message);
  });
});

describe('unknown fields', () => {
  test('survive at every level when something beside them is edited', () => {
    // Each level gets a field that ONNX does not have, marked with its name.
    const mark = (name: string): Uint8Array => unknownField(2000, `<${name}>`);
    const dim = concat(Uint8Array.of(8, 2), mark('dim'));
    const shape = concat(field(1, dim), mark('shape'));
    const tensorType = concat(Uint8Array.of(8, 1), field(2, shape), mark('tensor type'));
    const type = concat(field(1, tensorType), mark('type'));
    const info = (name: string): Uint8Array =>
      concat(field(1, Buffer.from(name)), field(2, type), mark(`info ${name}`));
    const attribute = concat(field(1, Buffer.from('alpha')), Uint8Array.of(0xa0, 1, 2, 0x18, 5), mark('attribute'));
    const node = concat(
      field(1, Buffer.from('x')),
      field(2, Buffer.from('y')),
      field(4, Buffer.from('Elu')),
      field(5, attribute),
      mark('node'),
    );
    const tensor = concat(
      Uint8Array.of(8, 1, 16, 1),
      field(8, Buffer.from('w')),
      field(9, new Uint8Array(4)),
      mark('tensor'),
    );
    const content = concat(field(1, node), field(5, tensor), field(11, info('x')), field(12, info('y')), mark('graph'));
    const opset = concat(Uint8Array.of(16, 17), mark('opset'));
    const entry = concat(field(1, Buffer.from('k')), field(2, Buffer.from('v')), mark('entry'));
    const bytes = concat(Uint8Array.of(8, 8), field(7, content), field(8, opset), field(14, entry), mark('model'));

    const model = decodeModel(bytes);
    expect(encodeModel(model)).toEqual(bytes);
    model.producerName = 'edited';
    model.meta.set('another', 'one');
    model.graph.name = 'edited';
    const elu = model.graph.firstNode as Node;
    elu.setAttr('beta', 1);
    for (const value of [...model.graph.inputs, ...model.graph.outputs]) {
      value.type = { kind: 'tensor', dtype: 'float16', shape: [2] };
    }
    const text = Buffer.from(encodeModel(model)).toString('latin1');
    const levels = [
      'model',
      'entry',
      'opset',
      'graph',
      'node',
      'attribute',
      'tensor',
      'info x',
      'info y',
      'type',
      'tensor type',
      'shape',
      'dim',
    ];
    expect(levels.filter((name) => !text.includes(`<${name}>`))).toEqual([]);
    const back = decodeModel(encodeModel(model));
    expect(back.graph.inputs[0]?.type).toEqual({ kind: 'tensor', dtype: 'float16', shape: [2] });
    expect([back.producerName, back.meta.get('another'), back.graph.firstNode?.int('beta')]).toEqual([
      'edited',
      'one',
      1,
    ]);
  });
});
