import type { Node, Value } from '../../../src/ir/graph.ts';
import type { Compiler } from '../compile/compiler.ts';
import { floatLiteral, sizeOf } from '../compile/types.ts';
import { rangeOf, scalarQuantization } from './element-quantize.ts';
import { clipBounds } from './elementwise.ts';

/** What a heavy operator does with its sums before it writes them: the Relu or Clip behind it, and the quantization behind that. */
export interface Epilogue {
  /** The value that is written in the end. */
  readonly output: Value;
  readonly lo: number;
  readonly hi: number;
  readonly quantized?: { readonly scale: number; readonly zeroPoint: number; readonly lo: number; readonly hi: number };
}

/** Looks behind `node` for what can be done on the way, and marks it as done. @param quantizes whether the kernel can write 8-bit numbers */
export function takeEpilogue(compiler: Compiler, node: Node, quantizes: boolean): Epilogue {
  let output = node.output();
  let [lo, hi] = [-Infinity, Infinity];
  const activation = compiler.isOnlyFor(output);
  const bounds = activation && activation.inputs[0] === output ? boundsOf(compiler, activation) : undefined;
  if (activation && bounds) {
    compiler.done.add(activation);
    output = activation.output();
    ({ lo, hi } = bounds);
  }
  const quantizer = quantizes ? compiler.isOnlyFor(output) : undefined;
  if (!quantizer?.is('QuantizeLinear') || quantizer.inputs[0] !== output) return { output, lo, hi };
  const parameters = scalarQuantization(compiler, quantizer);
  const { type } = compiler.typeOf(quantizer.output());
  if (!parameters || sizeOf(type) !== 1) return { output, lo, hi };
  compiler.done.add(quantizer);
  const [least, most] = rangeOf(quantizer, type);
  const bound = (value: number): number =>
    Math.min(most, Math.max(least, roundHalfEven(Math.fround(value / parameters.scale)) + parameters.zeroPoint));
  return { output: quantizer.output(), lo, hi, quantized: { ...parameters, lo: bound(lo), hi: bound(hi) } };
}

function boundsOf(compiler: Compiler, node: Node): { lo: number; hi: number } | undefined {
  if (node.is('Relu')) return { lo: 0, hi: Infinity };
  return node.is('Clip') ? clipBounds(compiler, node) : undefined;
}

export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

export function boundsText({ lo, hi }: Epilogue): string {
  return `${floatLiteral(lo)}, ${floatLiteral(hi)}`;
}
