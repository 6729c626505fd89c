import { expect, test } from 'vitest';
import { formatOf, formatsOn, formatTable, objectionsTo } from '../../src/capability/format.ts';

test.each([
  [undefined, { Conv: 3 }, { float32: 100 }],
  [undefined, { 'com.microsoft.Attention': 1, LSTM: 2 }, { float32: 100, int64: 8 }],
  ['fp16', { Conv: 3 }, { float16: 100, float32: 10 }],
  ['int8-static', { QuantizeLinear: 2, DequantizeLinear: 4, Conv: 1 }, { int8: 100, float32: 10 }],
  ['int8-static', { QLinearConv: 2 }, { int8: 100 }],
  ['int8', { 'com.microsoft.DynamicQuantizeMatMul': 2 }, { int8: 100 }],
  ['uint8', { DynamicQuantizeLinear: 2, MatMulInteger: 2 }, { uint8: 100 }],
  ['int4', { 'com.microsoft:MatMulNBits': 2 }, { uint8: 100, float32: 20 }],
  ['q4f16', { 'com.microsoft.MatMulNBits': 2 }, { uint8: 100, float16: 20 }],
  ['int4-dq', { DequantizeLinear: 2, MatMul: 2 }, { uint4: 100, float32: 20 }],
  ['bnb4', { 'com.microsoft.MatMulBnb4': 2 }, { uint8: 100 }],
])('format %s by operators and weights', (format, ops, bytes) => {
  expect(formatOf(ops, bytes)).toBe(format);
});

test('says where a format does not pay, before a session is opened', () => {
  expect(objectionsTo('int8-static', ['cpu', 'web-wasm'])).toEqual([]);
  const [gpu] = objectionsTo('int8-static', ['cpu', 'webgpu']);
  expect(gpu?.why).toContain('int8 falls back to the CPU with copies in between, so use q4f16 or fp16');
  expect(formatTable().find(({ format }) => format === 'int4')?.pays).toEqual(['cpu', 'webgpu', 'cuda']);
  expect(formatsOn('cpu').take).toContain('int8-static');
  expect(formatsOn('cpu').leave.map(({ variant }) => variant)).toContain('q4f16');
});
