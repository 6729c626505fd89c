import type { Node } from '../../../src/ir/graph.ts';
import { transposePads } from '../../../src/ir/transpose-pads.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf } from '../compile/types.ts';
import { boundsText, takeEpilogue } from './epilogue.ts';
import { twoOf, window } from './window.ts';

/** Each output gathers what the inputs spread to it. */
export function compileConvTranspose(compiler: Compiler, node: Node): void {
  const xv = compiler.input(node, 0);
  const x = compiler.typeOf(xv).shape;
  const w = compiler.typeOf(compiler.input(node, 1)).shape;
  const y = compiler.typeOf(node.output()).shape;
  if (x.length !== 3 && x.length !== 4)
    cannot(node, `it has ${x.length - 2} spatial dimensions, and one or two are known`);
  const { kernel, strides, dilations } = window(node, w.slice(2));
  const groups = node.int('group', 1);
  const begin = transposePads(node, x.slice(2), kernel, y.slice(2));
  const [h, width] = twoOf(x.slice(2), 1);
  const [oh, ow] = twoOf(y.slice(2), 1);
  const numbers = [
    (x[1] ?? 1) / groups,
    h,
    width,
    w[1] ?? 1,
    oh,
    ow,
    ...twoOf(kernel, 1),
    ...twoOf(strides, 1),
    ...twoOf(dilations, 1),
    ...twoOf(begin, 0),
    groups,
  ];
  const from = compiler.ref(xv);
  const weights = compiler.ref(compiler.input(node, 1));
  const bias = node.inputs[2] && compiler.ref(node.inputs[2]);
  const epilogue = takeEpilogue(compiler, node, false);
  const to = compiler.define(epilogue.output);
  compiler.kernels.add('conv_transpose');
  compiler.steps.push({
    title: `${node}`,
    reads: [from, weights, ...(bias ? [bias] : [])],
    writes: [to],
    code: (at) =>
      `for (int n = 0; n < ${x[0] ?? 1}; ++n) conv_transpose(${at(from)} + n * ${countOf(x.slice(1))}, ${at(weights)}, ${bias ? at(bias) : '0'}, ${at(to)} + n * ${countOf(y.slice(1))}, ${numbers.join(', ')}, ${boundsText(epilogue)});`,
  });
}

export const convTranspose = `static void conv_transpose(const f32* x, const f32* w, const f32* bias, f32* y, int channels, int h, int width, int outputs, int oh, int ow, int kh, int kw, int sh, int sw, int dh, int dw, int top, int left, int groups, f32 lo, f32 hi) {
  for (int g = 0; g < groups; ++g) for (int o = 0; o < outputs; ++o) {
    const f32 start = bias ? bias[g * outputs + o] : 0.0f;
    f32* to = y + (g * outputs + o) * oh * ow;
    for (int t = 0; t < oh * ow; ++t) to[t] = start;
    for (int c = 0; c < channels; ++c) for (int a = 0; a < kh; ++a) for (int b = 0; b < kw; ++b) {
      const f32 k = w[(((g * channels + c) * outputs + o) * kh + a) * kw + b];
      for (int i = 0; i < h; ++i) {
        const int r = i * sh - top + a * dh;
        if (r < 0 || r >= oh) continue;
        const f32* row = x + ((g * channels + c) * h + i) * width;
        for (int j = 0; j < width; ++j) {
          const int q = j * sw - left + b * dw;
          if (q >= 0 && q < ow) to[r * ow + q] += k * row[j];
        }
      }
    }
    for (int t = 0; t < oh * ow; ++t) to[t] = clampf(to[t], lo, hi);
  }
}
`;
