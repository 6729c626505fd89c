import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCompute } from '../../src/engine/compute.ts';
import { runtimeSentence } from '../../src/engine/failure.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { openSession } from '../../src/engine/session.ts';
import { UserError } from '../../src/errors.ts';
import type { AttrInput } from '../../src/ir/attr.ts';
import { type DType, dtypeCode } from '../../src/ir/dtype.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { stringTensor, type Tensor, tensorFrom, tensorFromBytes, tensorOf } from '../../src/ir/tensor.ts';
import { type Dim, tensorType } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';
import { saveModel } from '../../src/onnx/save.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'mlpack-test-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface OneNode {
  readonly op: string;
  readonly domain?: string;
  readonly attrs?: Record<string, AttrInput>;
  readonly input?: readonly [DType, Dim[] | undefined];
  readonly output?: DType;
}

/** y = op(x). */
function oneNode(
  { op, domain = '', attrs = {}, input = ['float32', ['n']], output = input[0] }: OneNode,
  opset = 17,
): Model {
  const graph = new Graph('g');
  const x = graph.addInput('x', tensorType(input[0], input[1]));
  const node = graph.append(op, {
    domain,
    name: 'the/node',
    inputs: [x],
    outputs: ['y'],
    attrs,
    types: [tensorType(output, input[1])],
  });
  graph.addOutput(node.output());
  return new Model(graph, opset, 8);
}

async function identity(tensor: Tensor): Promise<Tensor | undefined> {
  const model = oneNode({ op: 'Identity', input: [tensor.dtype, tensor.shape.map((_, axis) => `d${axis}`)] });
  return (await createCompute().run(model, new Map([['x', tensor]]))).get('y');
}

describe('tensors in and out', () => {
  const cases: readonly Tensor[] = [
    tensorFrom('float32', [2, 2], Float32Array.of(1, -0, Number.NaN, Number.NEGATIVE_INFINITY)),
    tensorFrom('float64', [1], Float64Array.of(Math.PI)),
    tensorFrom('float16', [3], Uint16Array.of(0x3c00, 0x7c00, 0x0001)),
    tensorFrom('int64', [2], BigInt64Array.of(-(2n ** 63n), 2n ** 53n + 1n)),
    tensorFrom('uint64', [1], BigUint64Array.of(2n ** 64n - 1n)),
    tensorOf('int32', [2], [-1, 2]),
    tensorOf('uint32', [1], [2 ** 32 - 1]),
    tensorOf('int16', [1], [-32768]),
    tensorOf('uint16', [1], [65535]),
    tensorOf('int8', [2], [-128, 127]),
    tensorOf('uint8', [], [255]),
    tensorOf('bool', [2], [1, 0]),
    tensorFrom('float32', [0, 3], new Float32Array(0)),
  ];
  test.each(cases.map((tensor) => [`${tensor.dtype}[${tensor.shape.join(',')}]`, tensor] as const))(
    '%s passes bit by bit',
    async (_, tensor) => {
      const result = await identity(tensor);
      expect(result?.dtype).toBe(tensor.dtype);
      expect(result?.shape).toEqual(tensor.shape);
      expect([...(result?.bytes() ?? [])]).toEqual([...tensor.bytes()]);
    },
  );

  test('strings pass as UTF-8', async () => {
    const texts = ['', 'ü', '日本'].map((text) => new TextEncoder().encode(text));
    const result = await identity(stringTensor([3], texts));
    expect(result?.strings?.().map((text) => new TextDecoder().decode(text))).toEqual(['', 'ü', '日本']);
  });

  test('misaligned views are read right', async () => {
    const bytes = new Uint8Array(9);
    new DataView(bytes.buffer).setFloat32(1, 1.5, true);
    new DataView(bytes.buffer).setFloat32(5, -2, true);
    const result = await identity(tensorFromBytes('float32', [2], bytes.subarray(1)));
    expect([...new Float32Array(result?.bytes().slice().buffer ?? new ArrayBuffer(0))]).toEqual([1.5, -2]);
  });

  test('an int4 output is refused before it can crash the process', async () => {
    const model = oneNode({ op: 'Cast', attrs: { to: dtypeCode('int4') }, output: 'int4' }, 21);
    model.irVersion = 10;
    const session = await openModel(model);
    await expect(session.run(new Map([['x', tensorOf('float32', [1], [1])]]))).rejects.toThrow(
      'Output "y" of the model is of type int4',
    );
    await session.dispose();
  });
});

describe('sessions', () => {
  test('say what goes in and out', async () => {
    const session = await openModel(oneNode({ op: 'Relu', input: ['float32', ['batch', 3]] }));
    expect(session.inputs).toEqual([{ name: 'x', dtype: 'float32', shape: ['batch', 3] }]);
    expect(session.outputs).toEqual([{ name: 'y', dtype: 'float32', shape: ['batch', 3] }]);
    expect(session.provider).toBe('cpu');
    expect(session.createMs).toBeGreaterThan(0);
    await session.dispose();
    await session.dispose();
  });

  test('refuse inputs that do not fit, by name and shape', async () => {
    const session = await openModel(oneNode({ op: 'Relu', input: ['float32', ['batch', 3]] }), { label: 'm.onnx' });
    const run = (tensor: Tensor, name = 'x') => session.run(new Map([[name, tensor]]));
    await expect(run(tensorOf('float32', [1, 2], [1, 2]))).rejects.toThrow(
      'Input "x" of m.onnx is float32[batch, 3], but was given float32[1, 2].',
    );
    await expect(run(tensorOf('int32', [1, 3], [1, 2, 3]))).rejects.toThrow('but was given int32[1, 3]');
    await expect(run(tensorOf('float32', [1, 3], [1, 2, 3]), 'z')).rejects.toThrow(
      'm.onnx needs an input "x" (float32[batch, 3]); none was given.',
    );
    await expect(session.run(new Map(), ['q'])).rejects.toThrow('has no output "q"; it has "y"');
    await session.dispose();
  });

  test('timer runs the bare inference again and again, and says what fails', async () => {
    const session = await openModel(oneNode({ op: 'Relu' }));
    const time = session.timer(new Map([['x', tensorOf('float32', [2], [-1, 1])]]));
    const times = await time({ count: 5, settleMs: 1 });
    expect(times).toHaveLength(5);
    for (const ms of times) expect(ms).toBeGreaterThan(0);
    expect(() => session.timer(new Map())).toThrow('needs an input "x"');
    await session.dispose();
  });

  test('read external data beside the file', async () => {
    const graph = new Graph('g');
    const x = graph.addInput('x', tensorType('float32', [300]));
    const w = graph.addInitializer('w', tensorFrom('float32', [300], new Float32Array(300).fill(2)));
    graph.addOutput(
      graph.append('Mul', { inputs: [x, w], outputs: ['y'], types: [tensorType('float32', [300])] }).output(),
    );
    const path = join(dir, 'external.onnx');
    await saveModel(new Model(graph, 17, 8), path, { externalData: 'always' });
    const session = await openSession(path);
    const result = await session.run(new Map([['x', tensorFrom('float32', [300], new Float32Array(300).fill(3))]]));
    expect(new Float32Array(result.get('y')?.bytes().slice().buffer ?? new ArrayBuffer(0))).toEqual(
      new Float32Array(300).fill(6),
    );
    await session.dispose();
  });

  test('hand session options on', async () => {
    const wrong = openModel(oneNode({ op: 'Relu' }), {
      // Only read where there are threads to place.
      threads: 2,
      extra: { 'session.intra_op_thread_affinities': 'x' },
    });
    await expect(wrong).rejects.toThrow('Processor id must consist of only digits');
  });

  test('a provider that is not there names those that are', async () => {
    const promise = openModel(oneNode({ op: 'Relu' }), { provider: 'tpu' });
    await expect(promise).rejects.toThrow(/has no provider "tpu"; it has cpu, .*doctor/);
    await expect(promise).rejects.toBeInstanceOf(UserError);
  });
});

describe('failures to load become sentences', () => {
  test.each([
    [
      'unknown op',
      oneNode({ op: 'Foo' }),
      'node "the/node" (Foo): No Op registered for Foo with domain_version of 17.',
    ],
    [
      'unknown domain',
      oneNode({ op: 'Foo', domain: 'my.ops' }),
      'node "the/node" (my.ops.Foo): No opset import for domain \'my.ops\'',
    ],
    [
      'future opset',
      oneNode({ op: 'Relu' }, 99),
      'the model is of opset 99, which this version does not know yet (it knows those up to 26)',
    ],
  ])('%s', async (_, model, sentence) => {
    const bytes = encodeModel(model);
    const promise = openSession(bytes, { label: 'm.onnx' });
    await expect(promise).rejects.toThrow('ONNX Runtime cannot load m.onnx: ');
    await expect(promise).rejects.toThrow(sentence);
    await expect(promise).rejects.not.toThrow('/onnxruntime_src/');
  });

  test('garbage and missing files', async () => {
    const path = join(dir, 'garbage.onnx');
    writeFileSync(path, 'not a model');
    await expect(openSession(path)).rejects.toThrow(/garbage\.onnx: This is no ONNX model: it is a text file\.$/);
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00, 0xff]));
    await expect(openSession(path)).rejects.toThrow(/garbage\.onnx: The file is damaged or cut off\./);
    await expect(openSession(join(dir, 'none.onnx'))).rejects.toThrow(
      /none\.onnx: Load model .* File doesn't exist\.$/,
    );
  });

  test('a node that fails at run time is named, without C++', () => {
    const raw =
      "Non-zero status code returned while running If node. Name:'outer' Status Message: Non-zero status code returned while running Reshape node. " +
      "Name:'rs' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 " +
      'onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) ' +
      'input_shape_size == requested_shape_size was false. The input tensor cannot be reshaped to the requested shape. Input shape:{6}, requested shape:{4,4}\n';
    expect(runtimeSentence(new Error(raw))).toBe(
      'node "rs" (Reshape): The input tensor cannot be reshaped to the requested shape. Input shape:{6}, requested shape:{4,4}.',
    );
    const lambda =
      '/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const ' +
      'onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters\n';
    expect(runtimeSentence(new Error(lambda))).toBe('Failed to get a WebGPU adapter: No supported adapters.');
    const plain =
      '/onnxruntime_src/onnxruntime/core/graph/model.h:46 void onnxruntime::f(const std::unordered_map<std::string, int>&, bool) ONNX Runtime only guarantees this.';
    expect(runtimeSentence(new Error(plain))).toBe('ONNX Runtime only guarantees this.');
    const after =
      '/onnxruntime_src/onnxruntime/core/x.cc:1 onnxruntime::f()::<lambda()> Failed to construct locale with name: en_US.';
    expect(runtimeSentence(new Error(after))).toBe('Failed to construct locale with name: en_US.');
  });

  test('an operator that the runtime has no kernel for is told with what to do', () => {
    const old = "Could not find an implementation for Gemm(6) node with name 'fc'";
    expect(runtimeSentence(new Error(old))).toBe(
      'node "fc" (Gemm) is in the form of opset 6, and ONNX Runtime begins at opset 7; export the model with opset 13 or later, or convert it (onnx.version_converter).',
    );
    const half =
      "Failed to find kernel for BatchNormalization(1) (node:'' ep:'CPUExecutionProvider'). Op with name () domain () and type (BatchNormalization) kernel is not supported";
    expect(runtimeSentence(new Error(half))).toMatch(/^BatchNormalization is in the form of opset 1, /);
    // Operators of other domains count from 1.
    const own = "Could not find an implementation for GroupQueryAttention(1) node with name 'a'";
    expect(runtimeSentence(new Error(own))).toBe(
      'there is no kernel for node "a" (GroupQueryAttention), version 1, in the types it is used with.',
    );
  });
});
