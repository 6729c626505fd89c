import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import type { onnx } from 'onnx-proto';
import { InferenceSession } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { cloneModel } from '../../src/ir/clone.ts';
import { decodeModel } from '../../src/onnx/decode.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';
import { floats, graph, modelBytes, valueInfo } from './support/proto.ts';
import { choices, relayout, unknownTexts } from './support/relayout.ts';

/** A model with something in nearly every field: subgraphs, functions, typed data, annotations, training. */
function richModel(): Uint8Array {
  const branch = (name: string): onnx.IAttributeProto => ({
    name,
    type: 5,
    docString: 'a branch',
    g: {
      name,
      node: [{ opType: 'Add', input: ['h', 'b'], output: ['r'], docString: 'inner' }],
      initializer: [{ name: 'b', dims: [2], dataType: 1, floatData: [1, 2] }],
      output: [valueInfo('r')],
      valueInfo: [valueInfo('h')],
    },
  });
  const content = graph(
    [
      {
        op: 'Call',
        domain: 'my',
        in: ['x', '', 'w'],
        out: ['h', ''],
        name: 'call',
        attrs: [{ name: 'alpha', type: 1, f: 0.5 }],
      },
      { op: 'If', in: ['c'], out: ['y'], name: 'choose', attrs: [branch('then_branch'), branch('else_branch')] },
      {
        op: 'Constant',
        out: ['k'],
        attrs: [{ name: 'value', type: 4, t: { name: 'inner', dims: [2], dataType: 7, int64Data: [1, -1] } }],
      },
    ],
    {
      docString: 'the graph',
      input: [valueInfo('c', 9, []), valueInfo('x', 1, ['n', 2]), valueInfo('w')],
      output: [valueInfo('y'), valueInfo('k', 7)],
      valueInfo: [valueInfo('h'), valueInfo('y'), valueInfo('ghost')],
      initializer: [
        floats('w', [1, 2]),
        { name: 'v', dims: [3], dataType: 1, floatData: [1, 2, 3], docString: 'typed' },
      ],
      sparseInitializer: [
        {
          values: { name: 's', dims: [1], dataType: 1, floatData: [4] },
          indices: { dims: [1], dataType: 7, int64Data: [2] },
          dims: [3],
        },
      ],
      quantizationAnnotation: [{ tensorName: 'w', quantParameterTensorNames: [{ key: 'SCALE_TENSOR', value: 'v' }] }],
    },
  );
  return modelBytes(content, {
    producerName: 'test',
    docString: 'the model',
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'my', version: 1 },
    ],
    metadataProps: [
      { key: 'a', value: '1' },
      { key: 'a', value: '2' },
    ],
    trainingInfo: [{ algorithm: { name: 'step' }, updateBinding: [{ key: 'w', value: 'w2' }] }],
    functions: [
      {
        name: 'Call',
        domain: 'my',
        input: ['p', 'q', 'r'],
        output: ['o'],
        attribute: ['alpha'],
        opsetImport: [{ domain: 'ai.onnx', version: 17 }],
        node: [
          { opType: 'Elu', input: ['p'], output: ['o'], attribute: [{ name: 'alpha', type: 1, refAttrName: 'alpha' }] },
        ],
      },
    ],
  });
}

describe('a model laid out in any way that protobuf allows', () => {
  const rich = richModel();

  test('comes back byte for byte, copied or not', () => {
    fc.assert(
      fc.property(choices, (choose) => {
        const bytes = relayout('ModelProto', rich, choose);
        const model = decodeModel(bytes);
        expect(encodeModel(model)).toEqual(bytes);
        expect(encodeModel(cloneModel(model))).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test('reads as the same graph', () => {
    const names = (bytes: Uint8Array): unknown =>
      [...decodeModel(bytes).graphs()].map((inner) =>
        [...inner.nodes].map((node) => [
          node.op,
          node.inputs.map((value) => value?.name),
          node.outputs.map((value) => value?.name),
          [...node.attrs.keys()].sort(),
        ]),
      );
    fc.assert(
      fc.property(choices, (choose) => {
        expect(names(relayout('ModelProto', rich, choose))).toEqual(names(rich));
      }),
      { numRuns: 100 },
    );
  });

  test('keeps every unknown field when every node, value and graph is renamed', () => {
    fc.assert(
      fc.property(choices, (choose) => {
        const bytes = relayout('ModelProto', rich, choose);
        const model = decodeModel(bytes);
        model.producerName = 'renamed';
        for (const inner of model.graphs()) {
          inner.name += '!';
          for (const node of inner.nodes) {
            node.name += '!';
            for (const value of node.outputs) if (value) value.name += '!';
          }
          for (const value of new Set([...inner.inputs, ...inner.initializers])) value.name += '!';
        }
        const now = encodeModel(model);
        expect(unknownTexts(now)).toEqual(unknownTexts(bytes));
        expect(decodeModel(now).graph.outputs.map((value) => value.name)).toEqual(['y!', 'k!']);
      }),
      { numRuns: 200 },
    );
  });
});

test.runIf(haveSharedModels)('a real model laid out anew comes back, and ONNX Runtime reads both forms', async () => {
  const source = new Uint8Array(readFileSync(sharedModel('silero-vad')));
  let state = 12345;
  const choose = (bound: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % bound;
  };
  const bytes = relayout('ModelProto', source, choose);
  const model = decodeModel(bytes);
  expect(Buffer.compare(encodeModel(model), bytes)).toBe(0);
  model.producerName = 'renamed';
  model.graph.name = 'renamed';
  for (const form of [bytes, encodeModel(model)]) {
    const session = await InferenceSession.create(form, { graphOptimizationLevel: 'disabled' });
    expect(session.inputNames).toEqual(['input', 'state', 'sr']);
    await session.release();
  }
});
