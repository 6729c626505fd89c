import { dtypeFromCode } from '../../dtype.ts';
import type { Rule, RuleTable } from '../context.ts';

const quantizeLinear: Rule = (ctx) => {
  const code = ctx.int('output_dtype', 0);
  ctx.set(0, ctx.has(2) ? ctx.dtype(2) : (dtypeFromCode(code) ?? 'uint8'), ctx.shape(0));
};

const dequantizeLinear: Rule = (ctx) => {
  const code = ctx.int('output_dtype', 0);
  ctx.set(0, dtypeFromCode(code) ?? ctx.dtype(1), ctx.shape(0));
};

const dynamicQuantizeLinear: Rule = (ctx) => {
  ctx.set(0, 'uint8', ctx.shape(0));
  ctx.set(1, 'float32', []);
  ctx.set(2, 'uint8', []);
};

export const quant: RuleTable = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
};
