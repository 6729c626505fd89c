import { expect, it } from 'vitest';
import { twinReason } from '../../src/cli/optimize/twin-reason.ts';

const trace = (
  pass: string,
  skipped: readonly (readonly [rule: string, node: string, why: string])[],
  changed = false,
) => ({
  pass,
  options: {},
  changed,
  applied: [],
  skipped: skipped.map(([rule, node, why]) => ({ rule, node, why })),
});

it('tells what a pass says of the whole model before what it says of single nodes', () => {
  const searched = trace('prune-search', [
    ['coupling', 'Gemm "o"', 'it feeds the graph output "y"'],
    ['search', 'model', 'nothing that saves 3 % of its work keeps the floor'],
  ]);
  expect(twinReason([searched] as never, 'fp32')).toBe(
    'prune-search changed nothing, the file would equal fp32: nothing that saves 3 % of its work keeps the floor',
  );
});

it('counts reasons that differ in their figures alone as one', () => {
  const placed = trace('quantize-static', [
    ['opset', 'model', 'one scale for each whole weight then'],
    ['weighted', 'ConvTranspose "u"', 'ONNX Runtime has no integer ConvTranspose on the CPU'],
    ['weighted', 'Conv "a"', 'it costs more than it gains (about 6.3 µs)'],
    ['weighted', 'Conv "b"', 'it costs more than it gains (about 12 µs)'],
  ]);
  expect(twinReason([placed] as never, 'base')).toBe(
    'quantize-static changed nothing, the file would equal base: Conv "a" and 1 more: it costs more than it gains (about 6.3 µs)',
  );
});

it('names the step that changed nothing, not the one behind it that made what the twin has too', () => {
  const searched = trace('prune-search', [['search', 'model', 'nothing that saves 3 % of its work keeps the floor']]);
  const quantized = trace('quantize-static', [['weighted', 'MatMul "a"', 'it multiplies two activations']], true);
  expect(twinReason([searched, quantized] as never, 'int8-static')).toBe(
    'prune-search changed nothing, the file would equal int8-static: nothing that saves 3 % of its work keeps the floor',
  );
});

it('passes over a step behind it that had nothing to do, and so gives no reason', () => {
  const searched = trace('prune-search', [['search', 'model', 'nothing that saves 3 % of its work keeps the floor']]);
  const quantized = trace('quantize-static', [], true);
  expect(twinReason([searched, quantized, trace('quantize-dynamic', [])] as never, 'int8-static')).toBe(
    'prune-search changed nothing, the file would equal int8-static: nothing that saves 3 % of its work keeps the floor',
  );
});

it('has nothing to say where no pass ran, or all changed something', () => {
  expect(twinReason([], 'base')).toBe('the same as base');
  expect(twinReason([trace('fuse', [], true)] as never, 'base')).toBe('the same as base');
});
