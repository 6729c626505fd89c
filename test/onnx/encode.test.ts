import { readFileSync } from 'node:fs';
import { InferenceSession } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { float, floats, ints, strings, tensor } from '../../src/ir/attr.ts';
import { cloneModel } from '../../src/ir/clone.ts';
import { Graph, Model, type Node } from '../../src/ir/graph.ts';
import { computedTensor, stringTensor, tensorFromBytes, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType, type ValueType } from '../../src/ir/types.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel, encodeParts } from '../../src/onnx/encode.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';
import { forgetOrigins } from './support/forget.ts';
import { asObject, concat, floats as floatTensor, graph, modelBytes, smallModel, valueInfo } from './support/proto.ts';

type Plain = { [key: string]: Plain } & Plain[];
const graphOf = (model: Model): Plain => asObject(encodeModel(model)).graph as Plain;

describe('what is edited changes, what is not stays', () => {
  test('renaming a value changes its readers, its declaration and nothing else', () => {
    const model = decodeModel(smallModel());
    const before = asObject(smallModel());
    const add = model.graph.firstNode as Node;
    add.output().name = 'renamed';
    const text = JSON.stringify(before).replaceAll('"h"', '"renamed"');
    expect(asObject(encodeModel(model))).toEqual(JSON.parse(text));
  });

  test('a removed value loses its declaration', () => {
    const model = decodeModel(smallModel());
    const relu = model.graph.lastNode as Node;
    model.graph.replaceUses(relu.output(), relu.input(0) as never);
    model.graph.remove(relu);
    const now = graphOf(model);
    expect([now.node?.length, now.valueInfo, now.node?.[0]?.output]).toEqual([1, undefined, ['y']]);
  });

  test('a new inner type is declared, with no name that promises equal extents; a new weight replaces the old one', () => {
    const model = decodeModel(smallModel());
    const add = model.graph.firstNode as Node;
    add.output().type = tensorType('float16', ['n', 2]);
    model.graph.setInitializer(add.input(1) as never, tensorOf('int8', [2], [1, -1]));
    const now = graphOf(model);
    expect(now.valueInfo?.[0]?.type?.tensorType).toEqual({
      elemType: 10,
      shape: { dim: [{}, { dimValue: '2' }] },
    });
    expect(now.initializer).toEqual([
      { name: 'w', dims: ['2'], dataType: 3, rawData: Buffer.from([1, 255]).toString('base64') },
    ]);
  });

  test('extents: 0, unknown and rank 0 are three things', () => {
    const shapes: ValueType[] = [
      tensorType('float32', [0, undefined]),
      tensorType('float32', []),
      tensorType('float32'),
    ];
    for (const type of shapes) {
      const model = decodeModel(smallModel());
      const value = (model.graph.firstNode as Node).output();
      value.type = type;
      const back = decodeModel(encodeModel(model));
      expect((back.graph.firstNode as Node).output().type).toEqual(type);
    }
  });

  test('opsets keep their spelling, other domains are added', () => {
    const model = decodeModel(smallModel({ opsetImport: [{ domain: 'ai.onnx', version: 13 }] }));
    model.opsets.set('', 17).set('com.microsoft', 1);
    expect(asObject(encodeModel(model)).opsetImport).toEqual([
      { domain: 'ai.onnx', version: '17' },
      { domain: 'com.microsoft', version: '1' },
    ]);
  });

  test('quantization annotations go with their value', () => {
    const content = graph([{ op: 'Relu', in: ['x'], out: ['y'] }], {
      input: [valueInfo('x')],
      output: [valueInfo('y')],
      initializer: [floatTensor('w', [1])],
      quantizationAnnotation: [{ tensorName: 'w' }, { tensorName: 'y' }, { tensorName: 'elsewhere' }],
    });
    const model = decodeModel(modelBytes(content));
    const [weight] = model.graph.initializers;
    if (weight) model.graph.removeInitializer(weight);
    expect(graphOf(model).quantizationAnnotation?.map((entry) => entry.tensorName)).toEqual(['y', 'elsewhere']);
  });

  test('an attribute that was copied with another value is not written as the old one', () => {
    const bytes = modelBytes(
      graph([{ op: 'X', domain: 'd', out: ['y'], attrs: [{ name: 'a', type: 2, i: 1 }] }], {
        output: [valueInfo('y')],
      }),
    );
    const model = decodeModel(bytes);
    const node = model.graph.firstNode as Node;
    const attr = node.attr('a');
    if (attr?.type === 'int') node.attrs.set('a', { ...attr, value: 2n });
    expect(decodeModel(encodeModel(model)).graph.firstNode?.int('a')).toBe(2);
  });

  test('a clone is untouched, and edits of one do not reach the other', () => {
    const bytes = smallModel();
    const model = decodeModel(bytes);
    const copy = cloneModel(model);
    (copy.graph.firstNode as Node).name = 'changed';
    expect(encodeModel(model)).toEqual(bytes);
    expect(encodeModel(cloneModel(model))).toEqual(bytes);
    expect(encodeModel(copy)).not.toEqual(bytes);
  });

  test('changing something and changing it back gives the source again', () => {
    const bytes = smallModel();
    const model = decodeModel(bytes);
    const node = model.graph.firstNode as Node;
    const value = node.output();
    const { type } = value;
    [node.name, value.type] = ['other', undefined];
    expect(encodeModel(model)).not.toEqual(bytes);
    [node.name, value.type] = ['add', type];
    expect(encodeModel(model)).toEqual(bytes);
  });

  test('two values of one name are our bug and never reach a file', () => {
    const model = decodeModel(smallModel());
    (model.graph.firstNode as Node).output().name = 'x';
    expect(() => encodeModel(model)).toThrow(/two values named "x"/);
  });
});

describe('models made from nothing', () => {
  test('attributes, types and tensors of all kinds come back', () => {
    const inner = new Graph('g');
    const x = inner.addInput('x', tensorType('float32', ['n', 0, undefined]));
    const types: ValueType[] = [
      { kind: 'sequence', element: tensorType('int64') },
      { kind: 'optional', element: tensorType('string', []) },
      { kind: 'map', key: 'int64', value: tensorType('float32') },
      { kind: 'sparse_tensor', dtype: 'float32', shape: [3] },
    ];
    const node = inner.append('Everything', {
      domain: 'test',
      inputs: [undefined, x],
      outputs: ['a', undefined, 'b', 'c', 'd'],
      types: [types[0], undefined, types[1], types[2], types[3]],
      attrs: {
        i: -5,
        f: float(0.1),
        s: 'é',
        is: ints([1, 2n ** 62n]),
        fs: floats([1, Number.NaN]),
        ss: strings(['a', '']),
      },
    });
    node.setAttr('t', tensor(stringTensor([1], [Uint8Array.of(0xff)])));
    node.setAttr('none', ints([]));
    inner.addInitializer(
      'big',
      computedTensor('uint8', [100_000], () => new Uint8Array(100_000).fill(3)),
    );
    inner.addOutput(node.output());
    const model = new Model(
      inner,
      new Map([
        ['', 21],
        ['test', 2],
      ]),
      10,
    );
    const bytes = encodeModel(model);
    expect(concat(...encodeParts(model))).toEqual(new Uint8Array(bytes));
    const back = decodeModel(bytes).graph.firstNode as Node;
    expect(back.outputs.map((value) => value?.type)).toEqual([types[0], undefined, types[1], types[2], types[3]]);
    expect(back.inputs.map((value) => value?.type)).toEqual([undefined, tensorType('float32', ['n', 0, undefined])]);
    expect([back.int('i'), back.float('f'), back.string('s')]).toEqual([-5, Math.fround(0.1), 'é']);
    expect([...back.attrs].map(([name, attr]) => [name, attr.type])).toEqual(
      [...node.attrs].map(([name, attr]) => [name, attr.type]),
    );
    const is = back.attr('is');
    expect(is?.type === 'ints' && is.value).toEqual([1n, 2n ** 62n]);
    const [big] = back.graph.initializers;
    expect([big?.initializer?.byteLength, big?.initializer?.bytes()[99_999]]).toEqual([100_000, 3]);
  });
});

test('packed 4-bit weights mean the same to ONNX Runtime', async () => {
  const graph = new Graph('int4');
  // Low half first: 1, -2, 7, -8, 3
  const packed = tensorFromBytes('int4', [5], Uint8Array.of(0xe1, 0x87, 0x03));
  const weight = graph.addInitializer('w', packed);
  const scale = graph.addInitializer('s', tensorOf('float32', [], [0.5]));
  const node = graph.append('DequantizeLinear', { inputs: [weight, scale], types: [tensorType('float32', [5])] });
  graph.addOutput(node.output());
  const session = await InferenceSession.create(encodeModel(new Model(graph, 21, 10)));
  const results = await session.run({});
  await session.release();
  expect([...(results[node.output().name]?.data as Float32Array)]).toEqual([0.5, -1, 3.5, -4, 1.5]);
});

describe.skipIf(!haveSharedModels)('real models', () => {
  test.each(sharedModelFiles)(
    '%s %s: the same bytes untouched, copied, or after a change was taken back',
    async (slug, file) => {
      const path = sharedModel(slug, file);
      const bytes = readFileSync(path);
      const model = await loadModel(path);
      expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
      expect(Buffer.compare(encodeModel(cloneModel(model)), bytes)).toBe(0);
      expect(Buffer.compare(Buffer.concat([...encodeParts(model)]), bytes)).toBe(0);
    },
  );

  test.each(sharedModelFiles)('%s %s: written from the graph alone, it says the same', async (slug, file) => {
    const path = sharedModel(slug, file);
    const model = await loadModel(path);
    forgetOrigins(model);
    const bytes = encodeModel(model);
    const [now, before] = [asObject(bytes), asObject(new Uint8Array(readFileSync(path)))].map((seen) =>
      normalized(seen),
    );
    expect(now).toEqual(before);
    const session = await InferenceSession.create(bytes, { graphOptimizationLevel: 'disabled' });
    expect(session.outputNames).toEqual(model.graph.outputs.map((value) => value.name));
    await session.release();
  });
});

/** Without what may be written in several ways: empty fields, holes at the end, the form of tensor data, names of constants. */
function normalized(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const list = value.map((item) => normalized(item));
    while (key === 'input' && list.at(-1) === '') list.pop();
    if (key === 'valueInfo') list.sort((a, b) => (String((a as Plain).name) < String((b as Plain).name) ? -1 : 1));
    return list;
  }
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([name]) => !/Data$/.test(name) || name === 'externalData');
  if ('dataType' in value && !/^initializer/.test(key))
    return Object.fromEntries(entries.filter(([name]) => name !== 'name' && name !== 'docString'));
  const kept = entries
    .map(([name, item]) => [name, normalized(item, name)] as const)
    .filter(([, item]) => !isEmpty(item));
  return Object.fromEntries(kept);
}

function isEmpty(item: unknown): boolean {
  return (
    item === '' ||
    item === '0' ||
    item === 0 ||
    (typeof item === 'object' && item !== null && Object.keys(item).length === 0)
  );
}
