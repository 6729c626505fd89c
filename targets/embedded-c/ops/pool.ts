import type { Node } from '../../../src/ir/graph.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf } from '../compile/types.ts';
import { moves } from './move.ts';
import { pads, twoOf, window } from './window.ts';

interface Plane {
  readonly planes: number;
  readonly h: number;
  readonly w: number;
  readonly oh: number;
  readonly ow: number;
}

function planesOf(compiler: Compiler, node: Node): Plane {
  const x = compiler.typeOf(compiler.input(node, 0)).shape;
  const y = compiler.typeOf(node.output()).shape;
  if (x.length !== 3 && x.length !== 4)
    cannot(node, `it has ${x.length - 2} spatial dimensions, and one or two are known`);
  const [h, w] = twoOf(x.slice(2), 1);
  const [oh, ow] = twoOf(y.slice(2), 1);
  return { planes: countOf(x.slice(0, 2)), h, w, oh, ow };
}

export function compilePool(compiler: Compiler, node: Node): void {
  const value = compiler.input(node, 0);
  const x = compiler.typeOf(value).shape.slice(2);
  const y = compiler.typeOf(node.output()).shape.slice(2);
  const { kernel, strides, dilations } = window(node, []);
  const [begin] = pads(node, x, y, kernel, strides, dilations);
  const { planes, h, w, oh, ow } = planesOf(compiler, node);
  const [kh, kw] = twoOf(kernel, 1);
  const [sh, sw] = twoOf(strides, 1);
  const [dh, dw] = twoOf(dilations, 1);
  const [top, left] = twoOf(begin, 0);
  if (node.outputs[1]?.isUsed) cannot(node, 'its indices are read');
  const numbers = [planes, h, w, oh, ow, kh, kw, sh, sw, dh, dw, top, left].join(', ');
  if (node.op === 'MaxPool') {
    moves(compiler, node, [value], node.output(), ([from], to) => {
      compiler.kernels.add(`max_pool_${to.type}`);
      return (at) => `max_pool_${to.type}(${from && at(from)}, ${at(to)}, ${numbers});`;
    });
    return;
  }
  const from = compiler.ref(value);
  const to = compiler.define(node.output());
  compiler.kernels.add('average_pool');
  const counts = node.int('count_include_pad', 0) !== 0;
  const [[, bottomRight]] = [pads(node, x, y, kernel, strides, dilations)];
  const [bottom, right] = twoOf(bottomRight, 0);
  compiler.steps.push({
    title: `${node}`,
    reads: [from],
    writes: [to],
    code: (at) => `average_pool(${at(from)}, ${at(to)}, ${numbers}, ${counts ? 1 : 0}, ${bottom}, ${right});`,
  });
}

export function compileGlobalPool(compiler: Compiler, node: Node): void {
  const value = compiler.input(node, 0);
  const shape = compiler.typeOf(value).shape;
  const [planes, size] = [countOf(shape.slice(0, 2)), countOf(shape.slice(2))];
  const from = compiler.ref(value);
  const to = compiler.define(node.output());
  const average = node.op === 'GlobalAveragePool';
  compiler.steps.push({
    title: `${node}`,
    reads: [from],
    writes: [to],
    code: (at) => `const f32* x = ${at(from)};
  f32* y = ${at(to)};
  for (int i = 0; i < ${planes}; ++i, x += ${size}) {
    f32 v = ${average ? '0.0f' : 'x[0]'};
    for (int j = 0; j < ${size}; ++j) ${average ? 'v += x[j]' : 'v = x[j] > v ? x[j] : v'};
    y[i] = v${average ? ` / ${size}.0f` : ''};
  }`,
  });
}

export const maxPool = (
  type: string,
  least: string,
): string => `static void max_pool_${type}(const ${type}* x, ${type}* y, int planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int dh, int dw, int top, int left) {
  for (int p = 0; p < planes; ++p, x += h * w) for (int i = 0; i < oh; ++i) for (int j = 0; j < ow; ++j) {
    ${type} most = ${least};
    for (int a = 0; a < kh; ++a) for (int b = 0; b < kw; ++b) {
      const int r = i * sh - top + a * dh, c = j * sw - left + b * dw;
      if (r >= 0 && r < h && c >= 0 && c < w && x[r * w + c] > most) most = x[r * w + c];
    }
    *y++ = most;
  }
}
`;

export const averagePool = `static void average_pool(const f32* x, f32* y, int planes, int h, int w, int oh, int ow, int kh, int kw, int sh, int sw, int dh, int dw, int top, int left, int whole, int bottom, int right) {
  for (int p = 0; p < planes; ++p, x += h * w) for (int i = 0; i < oh; ++i) for (int j = 0; j < ow; ++j) {
    f32 sum = 0.0f;
    int inside = 0, padded = 0;
    for (int a = 0; a < kh; ++a) for (int b = 0; b < kw; ++b) {
      const int r = i * sh - top + a * dh, c = j * sw - left + b * dw;
      if (r < h + bottom && c < w + right) ++padded;
      if (r >= 0 && r < h && c >= 0 && c < w) { sum += x[r * w + c]; ++inside; }
    }
    *y++ = sum / (f32)(whole ? padded : inside);
  }
}
`;
