import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { toNumbers } from '../../src/ir/tensor.ts';

/** What moves elements, or scales and bounds them by constants. */
const carries: ReadonlySet<string> = new Set(
  'Abs Add Cast Clip Concat Div Flatten Gather Identity Max Min Mul Pad Relu Reshape Slice Split Squeeze Sub Transpose Unsqueeze'.split(
    ' ',
  ),
);
/** What makes a power or a magnitude of real and imaginary parts. */
const squares: ReadonlySet<string> = new Set(['Pow', 'ReduceL2', 'ReduceSumSquare']);
/** Sums of powers, and their roots. */
const sums: ReadonlySet<string> = new Set(['ReduceSum', 'ReduceMean', 'Sqrt', 'Sum']);
/** Bands of a spectrum: a matrix behind the powers. */
const filters: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv']);

/** With this much added, or as the least value, small values are lost in float too: log(1 + x). By judgement, between 1 and the 1e-6 or so of spectra. */
const highFloor = 0.1;

/**
 * Why a Conv, MatMul or Gemm must not be rounded to 8 bits: its result goes into a logarithm, as bands of a spectrum do in models that
 * take waves. Rounding errors go by the largest value, a logarithm makes as much of the smallest (log-mel of 8,000 samples, nothing else
 * rounded: −18.8 dB at the output). What stands before a square, a Fourier transform written out as a convolution, is meant too.
 */
export function logarithmBehind(node: Node): string | undefined {
  const seen = new Set<string>();
  const steps: { value: Value; squared: boolean }[] = node.outputs.flatMap((value) =>
    value ? [{ value, squared: false }] : [],
  );
  for (const { value, squared } of steps) {
    for (const reader of value.consumers) {
      if (reader.domain !== '') continue;
      if (reader.op === 'Log')
        return `its result goes into ${reader}, which makes as much of the smallest values as of the largest: one scale for both rounds the small ones away`;
      const square = squared || squares.has(reader.op) || (reader.op === 'Mul' && reader.input(0) === reader.input(1));
      const goesOn = square
        ? carries.has(reader.op) || squares.has(reader.op) || sums.has(reader.op) || isFilter(reader, value)
        : carries.has(reader.op) && reader.inputs.every((input) => input === value || !input || constantOf(input));
      const output = reader.outputs[0];
      const key = `${output?.name} ${square}`;
      if (!goesOn || isFloored(reader) || seen.has(key)) continue;
      seen.add(key);
      for (const next of reader.outputs) if (next) steps.push({ value: next, squared: square });
    }
  }
  return undefined;
}

const isFilter = (node: Node, value: Value): boolean =>
  filters.has(node.op) && node.inputs.every((input) => !input || input === value || constantOf(input) !== undefined);

/** Whether a constant that is added, or bounds from below, is so large that small values come out alike in float. */
function isFloored(node: Node): boolean {
  if (node.op === 'Clip') return node.float('min', constantAt(node, 1)) >= highFloor;
  return (
    (node.op === 'Add' || node.op === 'Max') && node.inputs.some((_, index) => constantAt(node, index) >= highFloor)
  );
}

/** The largest number of a constant operand, 0 where it is none. */
function constantAt(node: Node, index: number): number {
  const tensor = constantOf(node.input(index));
  return ((tensor && toNumbers(tensor)) ?? []).reduce((most, one) => Math.max(most, one), 0);
}
