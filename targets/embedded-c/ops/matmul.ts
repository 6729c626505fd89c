import type { Node } from '../../../src/ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../../../src/ir/tensor.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf, type Ref } from '../compile/types.ts';
import { compileProduct } from './conv.ts';
import { boundsText, type Epilogue, takeEpilogue } from './epilogue.ts';
import { intBias, intWeights } from './int-weights.ts';

export function compileGemm(compiler: Compiler, node: Node): void {
  const [a, b] = [compiler.input(node, 0), compiler.input(node, 1)];
  const [m = 1, n = 1] = compiler.typeOf(node.output()).shape;
  const transA = node.int('transA', 0) !== 0;
  const transB = node.int('transB', 0) !== 0;
  const aShape = compiler.typeOf(a).shape;
  const k = (transA ? aShape[0] : aShape[1]) ?? 1;
  const [alpha, beta] = [node.float('alpha', 1), node.float('beta', 1)];
  if (transA && m !== 1 && k !== 1) cannot(node, 'transA is known for vectors only');
  const quantized = compiler.quantized(a);
  if (quantized && transB && m === 1 && alpha === 1 && beta === 1 && b.producer?.is('DequantizeLinear')) {
    if (intProduct(compiler, node, { n, k })) return;
  }
  const x = compiler.ref(a);
  const bias = biasOf(compiler, node, m, n, beta);
  const epilogue = takeEpilogue(compiler, node, false);
  const y = compiler.define(epilogue.output);
  const constant = compiler.constantOf(b);
  if (constant && constant.dtype === 'float32') {
    // A single row takes weights row by row, which lie together then; several rows take them column by column.
    const wanted = m === 1 ? 'nk' : 'kn';
    const w = compiler.constant(scaled(transB === (wanted === 'nk') ? constant : transposed(constant), alpha));
    if (wanted === 'nk') rows(compiler, `${node}`, { x, m, w, n, k, y, bias, epilogue });
    else columns(compiler, `${node}`, { x, m, w, n, k, y, bias, epilogue });
    return;
  }
  if (alpha !== 1) cannot(node, 'alpha is known with constant weights only');
  const w = compiler.ref(b);
  if (transB) rows(compiler, `${node}`, { x, m, w, n, k, y, bias, epilogue });
  else columns(compiler, `${node}`, { x, m, w, n, k, y, bias, epilogue });
}

interface Dense {
  readonly x: Ref;
  readonly m: number;
  readonly w: Ref;
  readonly n: number;
  readonly k: number;
  readonly y: Ref;
  /** One for each column, or for each row and column. */
  readonly bias: Ref | undefined;
  readonly epilogue: Epilogue;
}

/** Weights [n][k]. */
function rows(compiler: Compiler, title: string, { x, m, w, n, k, y, bias, epilogue }: Dense): void {
  compiler.kernels.add('rows_by_rows');
  const whole = bias && countOf(bias.shape) > n;
  compiler.steps.push({
    title,
    reads: [x, w, ...(bias && !whole ? [bias] : [])],
    writes: [y],
    code: (at) =>
      `rows_by_rows(${at(x)}, ${m}, ${at(w)}, ${n}, ${k}, ${at(y)}, ${bias && !whole ? at(bias) : '0'}, 0, ${boundsText(whole ? open(epilogue) : epilogue)});`,
  });
  if (bias && whole) addTo(compiler, title, y, bias, epilogue);
}

/** Weights [k][n]. */
function columns(compiler: Compiler, title: string, dense: Dense): void {
  const { x, m, w, n, k, y, bias, epilogue } = dense;
  compileProduct(compiler, title, {
    a: x,
    m,
    k,
    b: w,
    n,
    y,
    bias: undefined,
    epilogue: bias ? open(epilogue) : epilogue,
  });
  if (bias) addTo(compiler, title, y, bias, epilogue);
}

const open = (epilogue: Epilogue): Epilogue => ({ ...epilogue, lo: -Infinity, hi: Infinity });

function addTo(compiler: Compiler, title: string, y: Ref, bias: Ref, epilogue: Epilogue): void {
  const count = countOf(bias.shape);
  compiler.steps.push({
    title: `${title}, bias`,
    reads: [y, bias],
    writes: [y],
    code: (at) =>
      `f32* y = ${at(y)};\n  const f32* b = ${at(bias)};\n  for (int i = 0; i < ${countOf(y.shape) / count}; ++i) for (int j = 0; j < ${count}; ++j) y[i * ${count} + j] = clampf(y[i * ${count} + j] + b[j], ${boundsText(epilogue)});`,
  });
}

function biasOf(compiler: Compiler, node: Node, m: number, n: number, beta: number): Ref | undefined {
  const value = node.inputs[2];
  if (!value || beta === 0) return undefined;
  const constant = compiler.constantOf(value);
  if (!constant) {
    const ref = compiler.ref(value);
    if (beta !== 1 || (countOf(ref.shape) !== n && countOf(ref.shape) !== m * n) || ref.shape.at(-1) !== n)
      cannot(node, 'its third input must be a constant, or one row');
    return ref;
  }
  const numbers = compiler.numbers(node, 2) ?? new Float32Array();
  const shape = constant.shape;
  const [rowsOfC, columnsOfC] = [shape.length === 2 ? (shape[0] ?? 1) : 1, shape.at(-1) ?? 1];
  const perRow = rowsOfC !== 1;
  return compiler.floats(
    Float32Array.from(
      { length: perRow ? m * n : n },
      (_, i) => beta * (numbers[(perRow ? Math.floor(i / n) * columnsOfC : 0) + (columnsOfC === 1 ? 0 : i % n)] ?? 0),
    ),
  );
}

function scaled(tensor: Tensor, alpha: number): Tensor {
  if (alpha === 1) return tensor;
  return tensorFrom(
    'float32',
    tensor.shape,
    typedArray(tensor, 'float32').map((value) => value * alpha),
  );
}

export function transposed(tensor: Tensor): Tensor {
  const [r = 1, c = 1] = tensor.shape;
  const from = typedArray(tensor, 'float32');
  const to = new Float32Array(from.length);
  for (let i = 0; i < r; i++) for (let j = 0; j < c; j++) to[j * r + i] = from[i * c + j] ?? 0;
  return tensorFrom('float32', [c, r], to);
}

/** Products of matrices, one for each of the leading dimensions, which are repeated where one side has fewer. */
export function compileMatMul(compiler: Compiler, node: Node): void {
  const [av, bv] = [compiler.input(node, 0), compiler.input(node, 1)];
  const [a, b] = [compiler.typeOf(av).shape, compiler.typeOf(bv).shape];
  if (a.length === 0 || b.length === 0) cannot(node, 'it multiplies a number');
  const m = a.length === 1 ? 1 : (a.at(-2) ?? 1);
  const k = a.at(-1) ?? 1;
  const n = b.length === 1 ? 1 : (b.at(-1) ?? 1);
  const outer = { a: a.slice(0, -2), b: b.slice(0, -2) };
  const constant = compiler.constantOf(bv);
  const single = countOf(outer.b) === 1;
  const count = countOf(outer.a) * m;
  const x = compiler.ref(av);
  const epilogue = takeEpilogue(compiler, node, false);
  if (constant && constant.dtype === 'float32' && single) {
    const flat = tensorFrom('float32', [k, n], typedArray(constant, 'float32'));
    const y = compiler.define(epilogue.output);
    const dense = { x, m: count, n, k, y, bias: undefined, epilogue };
    if (count === 1) rows(compiler, `${node}`, { ...dense, w: compiler.constant(transposed(flat)) });
    else columns(compiler, `${node}`, { ...dense, w: compiler.constant(flat) });
    return;
  }
  const w = compiler.ref(bv);
  const y = compiler.define(epilogue.output);
  if (single) {
    compileProduct(compiler, `${node}`, { a: x, m: count, k, b: w, n, y, bias: undefined, epilogue });
    return;
  }
  const rank = Math.max(outer.a.length, outer.b.length);
  const full = (shape: readonly number[]): number[] => [...Array<number>(rank - shape.length).fill(1), ...shape];
  const [fa, fb] = [full(outer.a), full(outer.b)];
  const shape = fa.map((dim, i) => Math.max(dim, fb[i] ?? 1));
  const kernel = n === 1 ? 'rows_by_rows' : n < 16 ? 'small_product' : 'product';
  compiler.kernels.add(kernel);
  const offset = (own: readonly number[], size: number): string => {
    const terms = own.flatMap((dim, axis) => (dim === 1 ? [] : [`i${axis} * ${countOf(own.slice(axis + 1)) * size}`]));
    return terms.length > 0 ? ` + ${terms.join(' + ')}` : '';
  };
  compiler.steps.push({
    title: `${node}`,
    reads: [x, w],
    writes: [y],
    code(at) {
      const loops = shape.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
      const [pa, pb] = [`${at(x)}${offset(fa, m * k)}`, `${at(w)}${offset(fb, k * n)}`];
      const py = `${at(y)}${offset(shape, m * n)}`;
      const call =
        n === 1
          ? `rows_by_rows(${pa}, ${m}, ${pb}, 1, ${k}, ${py}, 0, 0, ${boundsText(epilogue)});`
          : `${kernel}(${pa}, ${m}, ${k}, ${pb}, ${n}, ${py}, 0, ${boundsText(epilogue)});`;
      return `${loops} ${call}`;
    },
  });
}

/** A quantized row times quantized weights [n][k]. */
function intProduct(compiler: Compiler, node: Node, { n, k }: { n: number; k: number }): boolean {
  const x = compiler.quantized(compiler.input(node, 0));
  const weights = intWeights(compiler, node, n);
  if (!x || !weights) return false;
  const units = Float64Array.from(weights.scales, (scale) => scale * x.scale);
  const bias = intBias(compiler, node, units);
  const epilogue = takeEpilogue(compiler, node, true);
  const { quantized } = epilogue;
  const factors = Float32Array.from(units, (unit) => unit / (quantized?.scale ?? 1));
  const [b, f] = [compiler.bytes('i32', [n], new Uint8Array(bias.buffer)), compiler.floats(factors)];
  const y = compiler.define(epilogue.output);
  compiler.kernels.add('requantize');
  const write = quantized
    ? `(${y.type})requantize(sum, f[j], ${quantized.zeroPoint}, ${quantized.lo}, ${quantized.hi})`
    : `clampf((f32)sum * f[j], ${boundsText(epilogue)})`;
  compiler.steps.push({
    title: `${node} in 8 bits`,
    reads: [x.ref, weights.ref, b, f],
    writes: [y],
    code: (at) => `const ${x.ref.type}* x = ${at(x.ref)};
  const i8* w = ${at(weights.ref)};
  const i32* bias = ${at(b)};
  const f32* f = ${at(f)};
  ${y.type}* y = ${at(y)};
  for (int j = 0; j < ${n}; ++j) {
    i32 sum = bias[j];
    for (int i = 0; i < ${k}; ++i) sum += (x[i] - ${x.zeroPoint}) * (w[j * ${k} + i] - (${weights.zero}));
    y[j] = ${write};
  }`,
  });
  return true;
}
