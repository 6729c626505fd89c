import type { Node, Value } from '../../src/ir/graph.ts';
import { type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import { f32ToF16 } from '../../src/kernels/f16.ts';
import type { Factors, Tucker } from '../../src/kernels/low-rank.ts';
import { transpose } from '../../src/kernels/quantize.ts';
import { addConstant, provenanceKey } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';

/** What takes the place of one layer. */
export type Form =
  | { readonly kind: 'pair'; readonly factors: Factors }
  | { readonly kind: 'tucker'; readonly tucker: Tucker };

/** Extents that rewriting needs beside the numbers. */
export interface Extents {
  readonly n: number;
  readonly k: number;
  /** Elements of the kernel of a Conv, by axis; empty for a product. */
  readonly kernel: readonly number[];
}

/** Lets several small operators take the place of a Conv, MatMul or Gemm; the last of them keeps name, output and bias. */
export function replaceLayer(node: Node, form: Form, { n, k, kernel }: Extents, dtype: 'float32' | 'float16'): void {
  const old = node.input(1);
  const tensor = (shape: readonly number[], data: Float32Array): Tensor =>
    dtype === 'float16' ? tensorFrom('float16', shape, f32ToF16(data)) : tensorFrom('float32', shape, data);
  const constant = (suffix: string, shape: readonly number[], data: Float32Array): Value =>
    addConstant(node, `${old?.name ?? 'w'}_${suffix}`, tensor(shape, data));
  const provenance = `low-rank(${node.name || node.op})`;
  const before = (op: string, inputs: readonly (Value | undefined)[], attrs: Record<string, never> = {}): Value => {
    const made = node.graph.insertBefore(node, op, { inputs, attrs });
    made.meta = new Map([[provenanceKey, provenance]]);
    return made.output();
  };
  const input = node.input(0);
  if (node.op !== 'Conv') {
    if (form.kind !== 'pair') throw new TypeError('a product has no kernel');
    const { rank, outer, inner } = form.factors;
    const narrow = before('MatMul', [input, constant('inner', [k, rank], transpose(inner, rank, k))]);
    node.setInput(0, narrow);
    node.setInput(1, constant('outer', [rank, n], transpose(outer, n, rank)));
    if (node.op === 'Gemm') node.removeAttr('transB');
  } else {
    const ones = kernel.map(() => 1);
    const window = Object.fromEntries(
      [...node.attrs].filter(([name]) => windowAttrs.has(name)).map(([name, attr]) => [name, attr]),
    ) as Record<string, never>;
    let narrow = input;
    if (form.kind === 'pair') {
      const { rank, outer, inner } = form.factors;
      const taps = kernel.reduce((a, b) => a * b, 1);
      narrow = before('Conv', [narrow, constant('inner', [rank, k / taps, ...kernel], inner)], window);
      node.setInput(1, constant('outer', [n, rank, ...ones], outer));
    } else {
      const { outer, core, channels, inRank, outRank } = form.tucker;
      narrow = before('Conv', [narrow, constant('channels', [inRank, channels.length / inRank, ...ones], channels)]);
      narrow = before('Conv', [narrow, constant('core', [outRank, inRank, ...kernel], core)], window);
      node.setInput(1, constant('outer', [n, outRank, ...ones], outer));
    }
    node.setInput(0, narrow);
    for (const name of windowAttrs) node.removeAttr(name);
  }
  node.meta = new Map(node.meta).set(provenanceKey, provenance);
  releaseConstant(old);
}

/** Whether a node is one of those that took the place of a wider layer. */
export const isNarrowed = (node: Node): boolean => node.meta?.get(provenanceKey)?.includes('low-rank(') ?? false;

/** What says how a Conv looks at its input; the last one of the new operators looks at single places. */
const windowAttrs = new Set(['kernel_shape', 'strides', 'dilations', 'pads', 'auto_pad']);
