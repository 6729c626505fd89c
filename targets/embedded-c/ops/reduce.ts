import type { Node } from '../../../src/ir/graph.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf, floatLiteral, type Ref } from '../compile/types.ts';
import { axisOf, known } from './move.ts';

interface Fold {
  readonly start: string;
  readonly step: (x: string) => string;
  readonly end: (count: number) => string;
}

const sum = (step: (x: string) => string, end: (count: number) => string = () => 'v'): Fold => ({
  start: '0.0f',
  step,
  end,
});

const folds: Readonly<Record<string, Fold>> = {
  ReduceSum: sum((x) => `v += ${x};`),
  ReduceMean: sum(
    (x) => `v += ${x};`,
    (count) => `v / ${count}.0f`,
  ),
  ReduceSumSquare: sum((x) => `v += ${x} * ${x};`),
  ReduceL1: sum((x) => `v += fabsf(${x});`),
  ReduceL2: sum(
    (x) => `v += ${x} * ${x};`,
    () => 'sqrtf(v)',
  ),
  ReduceLogSum: sum(
    (x) => `v += ${x};`,
    () => 'logf(v)',
  ),
  ReduceProd: { start: '1.0f', step: (x) => `v *= ${x};`, end: () => 'v' },
  ReduceMax: { start: '-INFINITY', step: (x) => `if (${x} > v) v = ${x};`, end: () => 'v' },
  ReduceMin: { start: 'INFINITY', step: (x) => `if (${x} < v) v = ${x};`, end: () => 'v' },
};

export const reduceOps: readonly string[] = Object.keys(folds);

export function compileReduce(compiler: Compiler, node: Node): void {
  const value = compiler.input(node, 0);
  const { shape, type } = compiler.typeOf(value);
  if (type !== 'f32') cannot(node, `it reduces ${type}, and is known for floats only`);
  const given = node.inputs[1] ? known(compiler, node, 1) : node.ints('axes');
  const none = !given || given.length === 0;
  if (none && node.int('noop_with_empty_axes', 0) !== 0) {
    compiler.view(node.output(), value);
    return;
  }
  const axes = new Set(none ? shape.map((_, i) => i) : given.map((axis) => axisOf(axis, shape.length)));
  const fold = folds[node.op] ?? cannot(node, 'it is not known');
  const x = compiler.ref(value);
  const y = compiler.define(node.output());
  const strides = stridesOf(shape);
  const kept = shape.flatMap((dim, axis) => (axes.has(axis) || dim === 1 ? [] : [{ dim, stride: strides[axis] ?? 1 }]));
  const gone = shape.flatMap((dim, axis) => (axes.has(axis) && dim > 1 ? [{ dim, stride: strides[axis] ?? 1 }] : []));
  const loop = (parts: readonly { dim: number }[], name: string): string =>
    parts.map(({ dim }, i) => `for (int ${name}${i} = 0; ${name}${i} < ${dim}; ++${name}${i})`).join(' ');
  const index = [
    ...kept.map(({ stride }, i) => `k${i} * ${stride}`),
    ...gone.map(({ stride }, i) => `g${i} * ${stride}`),
  ];
  const count = countOf(gone.map(({ dim }) => dim));
  compiler.steps.push({
    title: `${node}`,
    reads: [x],
    writes: [y],
    code: (at) => `const f32* x = ${at(x)};
  f32* y = ${at(y)};
  ${loop(kept, 'k')} {
    f32 v = ${fold.start};
    ${loop(gone, 'g')} { ${fold.step(`x[${index.join(' + ') || '0'}]`)} }
    *y++ = ${fold.end(count)};
  }`,
  });
}

export function compileArg(compiler: Compiler, node: Node): void {
  const value = compiler.input(node, 0);
  const { shape } = compiler.typeOf(value);
  const axis = axisOf(node.int('axis', 0), shape.length);
  const [outer, extent, inner] = [countOf(shape.slice(0, axis)), shape[axis] ?? 1, countOf(shape.slice(axis + 1))];
  const better = `${node.op === 'ArgMax' ? '>' : '<'}${node.int('select_last_index', 0) !== 0 ? '=' : ''}`;
  const x = compiler.ref(value);
  const y = compiler.define(node.output());
  compiler.steps.push({
    title: `${node}`,
    reads: [x],
    writes: [y],
    code: (at) => `const ${x.type}* x = ${at(x)};
  i64* y = ${at(y)};
  for (int o = 0; o < ${outer}; ++o) for (int i = 0; i < ${inner}; ++i) {
    int best = 0;
    for (int j = 1; j < ${extent}; ++j) if (x[(o * ${extent} + j) * ${inner} + i] ${better} x[(o * ${extent} + best) * ${inner} + i]) best = j;
    *y++ = best;
  }`,
  });
}

/** Softmax and LogSoftmax; before opset 13 over everything from the axis on. */
export function compileSoftmax(compiler: Compiler, node: Node, opset: number): void {
  const value = compiler.input(node, 0);
  const { shape } = compiler.typeOf(value);
  const axis = axisOf(node.int('axis', opset >= 13 ? -1 : 1), shape.length);
  const outer = countOf(shape.slice(0, axis));
  const extent = opset >= 13 ? (shape[axis] ?? 1) : countOf(shape.slice(axis));
  const inner = opset >= 13 ? countOf(shape.slice(axis + 1)) : 1;
  const x = compiler.ref(value);
  const y = compiler.define(node.output());
  compiler.kernels.add('softmax');
  compiler.steps.push({
    title: `${node}`,
    reads: [x],
    writes: [y],
    inPlace: [x],
    code: (at) => `softmax(${at(x)}, ${at(y)}, ${outer}, ${extent}, ${inner}, ${node.op === 'LogSoftmax' ? 1 : 0});`,
  });
}

export const softmax = `static void softmax(const f32* x, f32* y, int outer, int extent, int inner, int logarithm) {
  for (int o = 0; o < outer; ++o) for (int i = 0; i < inner; ++i) {
    const f32* a = x + o * extent * inner + i;
    f32* b = y + o * extent * inner + i;
    f32 most = a[0], sum = 0.0f;
    for (int j = 1; j < extent; ++j) if (a[j * inner] > most) most = a[j * inner];
    for (int j = 0; j < extent; ++j) {
      const f32 v = a[j * inner] - most, e = expf(v);
      sum += e;
      b[j * inner] = logarithm ? v : e;
    }
    if (logarithm) { const f32 l = logf(sum); for (int j = 0; j < extent; ++j) b[j * inner] -= l; }
    else for (int j = 0; j < extent; ++j) b[j * inner] /= sum;
  }
}
`;

/** Layer, instance and group normalization: mean and variance of a run of neighbours, then scale and bias by a repeating pattern. */
export function compileNormalization(compiler: Compiler, node: Node, opset: number): void {
  const value = compiler.input(node, 0);
  const { shape } = compiler.typeOf(value);
  const epsilon = node.float('epsilon', 1e-5);
  const x = compiler.ref(value);
  const [scale, bias] = [
    node.inputs[1] && compiler.ref(node.inputs[1]),
    node.inputs[2] && compiler.ref(node.inputs[2]),
  ];
  if (node.outputs.slice(1).some((output) => output?.isUsed)) cannot(node, 'its mean or variance is read');
  const channels = shape[1] ?? 1;
  let run: number;
  /** Which of these parameters belongs to element `i` of run `r`. */
  let pick: (of: Ref) => string;
  if (node.op === 'LayerNormalization' || node.op === 'RMSNormalization') {
    const normalized = shape.slice(axisOf(node.int('axis', -1), shape.length));
    run = countOf(normalized);
    pick = ({ shape: own }) => {
      const count = countOf(own);
      const inner = own.slice(own.findIndex((dim) => dim !== 1));
      if (count === 1 || count === run) return count === 1 ? '0' : 'i';
      if (inner.join() !== normalized.slice(-inner.length).join()) cannot(node, 'its scale or bias is repeated within');
      return `i % ${count}`;
    };
  } else {
    const groups = node.op === 'InstanceNormalization' ? channels : node.int('num_groups', 1);
    const plane = countOf(shape.slice(2));
    run = (channels / groups) * plane;
    const ofGroup = node.op === 'GroupNormalization' && opset < 21;
    pick = () => (ofGroup ? `r % ${groups}` : `r % ${groups} * ${channels / groups} + i / ${plane}`);
  }
  const runs = countOf(shape) / run;
  const y = compiler.define(node.output());
  const times = scale ? { ref: scale, at: pick(scale) } : undefined;
  const plus = bias ? { ref: bias, at: pick(bias) } : undefined;
  const centred = node.op !== 'RMSNormalization';
  compiler.steps.push({
    title: `${node}`,
    reads: [x, ...(scale ? [scale] : []), ...(bias ? [bias] : [])],
    writes: [y],
    inPlace: [x],
    code: (at) => `const f32* x = ${at(x)};
  f32* y = ${at(y)};
  for (int r = 0; r < ${runs}; ++r, x += ${run}, y += ${run}) {
    f32 mean = 0.0f, square = 0.0f;
    ${centred ? `for (int i = 0; i < ${run}; ++i) mean += x[i];\n    mean /= ${run}.0f;` : ''}
    for (int i = 0; i < ${run}; ++i) square += (x[i] - mean) * (x[i] - mean);
    const f32 factor = 1.0f / sqrtf(square / ${run}.0f + ${floatLiteral(epsilon)});
    for (int i = 0; i < ${run}; ++i) y[i] = (x[i] - mean) * factor${times ? ` * ${at(times.ref)}[${times.at}]` : ''}${plus ? ` + ${at(plus.ref)}[${plus.at}]` : ''};
  }`,
  });
}
