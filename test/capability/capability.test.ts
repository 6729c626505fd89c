import { describe, expect, test } from 'vitest';
import { presets } from '../../passes/presets.ts';
import { withoutHalfKernels, worthBuilding } from '../../src/capability/choose.ts';
import { hasCpuKernel } from '../../src/capability/kernels.ts';
import { capabilities, capabilityOf, providerNames } from '../../src/capability/providers.ts';
import { speedOf } from '../../src/capability/speed.ts';
import { openSession } from '../../src/engine/session.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { Graph, Model } from '../../src/ir/graph.ts';
import { tensorType } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';

/** y = op(x, …, x) of one element type. */
function oneNode(op: string, dtype: DType, inputs: number): Uint8Array {
  const graph = new Graph('one');
  const type = tensorType(dtype, [2, 2]);
  const values = Array.from({ length: inputs }, (_, at) => graph.addInput(`x${at}`, type));
  graph.addOutput(graph.append(op, { inputs: values, outputs: ['y'], types: [type] }).output());
  return encodeModel(new Model(graph, 17, 8));
}

async function loads(bytes: Uint8Array, provider: string): Promise<boolean> {
  try {
    await (await openSession(bytes, { provider, graphOptimizationLevel: 'disabled' })).dispose();
    return true;
  } catch {
    return false;
  }
}

/** Types that the operator's schema allows, so that only the kernel decides. (Halves get casts put around them.) */
const sample: readonly (readonly [op: string, inputs: number, dtypes: readonly DType[]])[] = [
  ['MatMul', 2, ['float32', 'float64', 'int32', 'int64', 'uint64']],
  ['Add', 2, ['float32', 'float64', 'int32', 'int64', 'uint8', 'int16']],
  ['Sigmoid', 1, ['float32', 'float64']],
  ['Relu', 1, ['float32', 'float64', 'int8', 'int32', 'int16']],
  ['Softmax', 1, ['float32', 'float64']],
  ['Erf', 1, ['float32', 'float64', 'int32']],
  ['Tanh', 1, ['float32', 'float64']],
  ['Max', 2, ['float32', 'int32', 'int8', 'uint8']],
];

describe('the table of CPU kernels', () => {
  test.each(sample)('%s: what it says is what the runtime does', async (op, inputs, dtypes) => {
    for (const dtype of dtypes)
      expect([dtype, await loads(oneNode(op, dtype, inputs), 'cpu')]).toEqual([dtype, hasCpuKernel(op, dtype)]);
  });

  test('WebAssembly has the kernels of floats too', async () => {
    for (const [op, inputs] of sample)
      expect([op, await loads(oneNode(op, 'float32', inputs), 'web-wasm')]).toEqual([op, true]);
  });

  test('half kernels: missing where the time goes, there for norms and blocks', () => {
    expect(withoutHalfKernels(['Conv', 'Gemm', 'Relu', 'LayerNormalization', 'MatMul'])).toEqual([
      'Conv',
      'Gemm',
      'MatMul',
    ]);
    expect(hasCpuKernel('LayerNormalization', 'float16')).toBe(true);
    expect(hasCpuKernel('com.microsoft.MatMulNBits', 'float16')).toBe(true);
    expect(hasCpuKernel('ConvInteger', 'int8')).toBe(true);
    expect(hasCpuKernel('DynamicQuantizeLinear', 'int8')).toBe(false);
    expect(hasCpuKernel('NoSuchOp', 'float32')).toBeUndefined();
  });
});

describe('what formats come to on providers', () => {
  test('every provider says something about every variant, once, in a sentence with a source', () => {
    const variants = new Set(capabilities.map(({ variant }) => variant));
    for (const variant of variants) expect(Object.keys(presets)).toContain(variant);
    for (const provider of providerNames) {
      const own = capabilities.filter((one) => one.provider === provider).map(({ variant }) => variant);
      expect(own.toSorted()).toEqual([...variants].toSorted());
    }
    for (const { why, source } of capabilities) {
      expect(why.length).toBeGreaterThan(20);
      expect(source).toMatch(/^\[[MSDIU]\]/);
    }
  });

  test('the sentences that matter', () => {
    expect(capabilityOf('webgpu', 'int8')?.why).toMatch(/falls back to the CPU with copies in between, so use q4f16/);
    expect(capabilityOf('cpu', 'fp16')?.why).toMatch(/no half kernels .* smaller, not faster/);
    expect(capabilityOf('web-wasm', 'int4')?.why).toMatch(
      /11 to 15 times slower .* int4-dq .*session\.disable_quant_qdq/,
    );
    expect(capabilityOf('cuda', 'int8')).toMatchObject({ standing: 'fallback' });
    expect(capabilityOf('qnn', 'fp16')).toMatchObject({ standing: 'missing' });
  });

  test('variants that no provider of the run gains by are left out, with the reason', () => {
    const wanted = ['base', 'fp16', 'int8', 'uint8', 'int8-static', 'int4', 'int4-dq', 'q4f16'];
    expect(worthBuilding(wanted, ['cpu']).build).toEqual(['base', 'fp16', 'int8', 'int8-static', 'int4']);
    const wasm = worthBuilding(wanted, ['web-wasm']);
    expect(wasm.build).toEqual(['base', 'fp16', 'int8', 'uint8', 'int8-static', 'int4-dq']);
    expect(wasm.left.map(({ variant }) => variant)).toEqual(['int4', 'q4f16']);
    expect(worthBuilding(wanted, ['webgpu']).build).toEqual(['base', 'fp16', 'int4', 'q4f16']);
    expect(worthBuilding(wanted, ['cpu', 'web-wasm']).left[0]).toMatchObject({
      variant: 'q4f16',
      why: expect.stringMatching(/^cpu: .*; web-wasm: /),
    });
    expect(worthBuilding(['mine'], ['cpu']).build).toEqual(['mine']);
  });

  test('speeds are of the provider and the kind of layer; what nobody measured counts as equal', () => {
    expect(speedOf('cpu', 'Conv', 'int8')).toBeGreaterThan(3);
    expect(speedOf('web-wasm', 'MatMul', 'int4')).toBeLessThan(0.5);
    expect(speedOf('cuda', 'Conv', 'int8')).toBe(1);
    expect(speedOf('cpu', 'LSTM', 'int8-dynamic')).toBe(1);
  });
});
