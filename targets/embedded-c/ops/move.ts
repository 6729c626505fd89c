import type { Node, Value } from '../../../src/ir/graph.ts';
import { toNumbers } from '../../../src/ir/tensor.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, countOf, type Ref } from '../compile/types.ts';

/** Elements of a small constant of whole numbers. @throws CannotCompile where the value is not known. */
export function known(compiler: Compiler, node: Node, index: number): number[] | undefined {
  const value = node.inputs[index];
  if (!value) return undefined;
  const tensor = compiler.constantOf(value) ?? cannot(node, `"${value.name}" must be known before the model runs`);
  return toNumbers(tensor) ?? cannot(node, `"${value.name}" is ${tensor.dtype}`);
}

export function axisOf(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/**
 * A step that moves elements and computes nothing. Where its inputs are 8-bit numbers of one scale and only dequantized, it moves those, and what
 * comes out is 8 bits of the same scale.
 */
export function moves(
  compiler: Compiler,
  node: Node,
  inputs: readonly Value[],
  output: Value,
  write: (from: readonly Ref[], to: Ref) => MoveCode,
  /** Indices and tables that it reads besides. */
  besides: readonly Ref[] = [],
): void {
  const quantized = inputs.map((value) => (compiler.isLazy(value) ? compiler.quantized(value) : undefined));
  const [first] = quantized;
  const alike =
    first !== undefined &&
    quantized.every(
      (one) => one?.scale === first.scale && one.zeroPoint === first.zeroPoint && one.ref.type === first.ref.type,
    );
  const from = alike ? quantized.flatMap((one) => (one ? [one.ref] : [])) : inputs.map((value) => compiler.ref(value));
  let to: Ref;
  if (alike) {
    const { shape } = compiler.typeOf(output);
    to = { block: compiler.scratch(countOf(shape)), type: first.ref.type, shape };
    compiler.setQuantized(output, { ...first, ref: to });
  } else to = compiler.define(output);
  compiler.steps.push({ title: `${node}`, reads: [...from, ...besides], writes: [to], code: write(from, to) });
}

export type MoveCode = (address: (ref: Ref) => string) => string;

/** y[i…] = x[start + Σ i·stride]: transposes, slices, and whatever else reads in regular steps. */
export function strided(
  from: Ref,
  to: Ref,
  dims: readonly number[],
  strides: readonly number[],
  start: number,
): MoveCode {
  const { dims: loops, strides: steps } = collapseStrides(dims, strides);
  return (at) => {
    const index = (all: readonly number[]): string =>
      all
        .flatMap((stride, axis) => (stride === 0 ? [] : [stride === 1 ? `i${axis}` : `i${axis} * ${stride}`]))
        .join(' + ') || '0';
    const heads = loops.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
    return `const ${from.type}* x = ${at(from)}${start === 0 ? '' : ` + ${start}`};\n  ${to.type}* y = ${at(to)};\n  ${heads} y[${index(stridesOf(loops))}] = x[${index(steps)}];`;
  };
}

function collapseStrides(dims: readonly number[], strides: readonly number[]): { dims: number[]; strides: number[] } {
  const outDims: number[] = [];
  const outStrides: number[] = [];
  for (const [axis, dim] of dims.entries()) {
    const stride = strides[axis] ?? 0;
    if (dim === 1) continue;
    const last = outDims.length - 1;
    if (last >= 0 && outStrides[last] === stride * dim) {
      outDims[last] = (outDims[last] ?? 1) * dim;
      outStrides[last] = stride;
    } else {
      outDims.push(dim);
      outStrides.push(stride);
    }
  }
  if (outDims.length === 0) return { dims: [1], strides: [0] };
  return { dims: outDims, strides: outStrides };
}

export function compileTranspose(compiler: Compiler, node: Node): void {
  const x = compiler.input(node, 0);
  const { shape } = compiler.typeOf(x);
  const order = node.ints('perm') ?? shape.map((_, i) => shape.length - 1 - i);
  const moving = order.filter((axis) => shape[axis] !== 1);
  // Only extents of one change place: the bytes stay as they are.
  if (moving.every((axis, i) => i === 0 || axis > (moving[i - 1] ?? 0))) {
    compiler.view(node.output(), x);
    return;
  }
  const strides = stridesOf(shape);
  moves(compiler, node, [x], node.output(), ([from], to) =>
    strided(
      from ?? cannot(node, 'no input'),
      to,
      to.shape,
      order.map((axis) => strides[axis] ?? 0),
      0,
    ),
  );
}

export function compileSlice(compiler: Compiler, node: Node): void {
  const x = compiler.input(node, 0);
  const { shape } = compiler.typeOf(x);
  const out = compiler.typeOf(node.output()).shape;
  const starts = known(compiler, node, 1) ?? node.ints('starts') ?? cannot(node, 'it has no starts');
  const axes = known(compiler, node, 3) ?? node.ints('axes') ?? starts.map((_, i) => i);
  const steps = known(compiler, node, 4) ?? starts.map(() => 1);
  const strides = stridesOf(shape);
  const own = [...strides];
  let start = 0;
  for (const [i, axisText] of axes.entries()) {
    const axis = axisOf(axisText, shape.length);
    const extent = shape[axis] ?? 1;
    const step = steps[i] ?? 1;
    const from = starts[i] ?? 0;
    const first = from < 0 ? from + extent : from;
    start += Math.max(0, Math.min(first, step < 0 ? extent - 1 : extent)) * (strides[axis] ?? 1);
    own[axis] = (strides[axis] ?? 1) * step;
  }
  moves(compiler, node, [x], node.output(), ([from], to) =>
    strided(from ?? cannot(node, 'no input'), to, out, own, start),
  );
}

export function compileSplit(compiler: Compiler, node: Node): void {
  const x = compiler.input(node, 0);
  const { shape } = compiler.typeOf(x);
  const axis = axisOf(node.int('axis', 0), shape.length);
  const strides = stridesOf(shape);
  let start = 0;
  for (const output of node.outputs) {
    if (!output) continue;
    const out = compiler.typeOf(output).shape;
    const offset = start;
    if (output.isUsed)
      moves(compiler, node, [x], output, ([from], to) =>
        strided(from ?? cannot(node, 'no input'), to, out, strides, offset),
      );
    start += (out[axis] ?? 0) * (strides[axis] ?? 1);
  }
}

export function compileConcat(compiler: Compiler, node: Node): void {
  const inputs = node.inputs.filter((value) => value !== undefined);
  const output = node.output();
  const { shape } = compiler.typeOf(output);
  const axis = axisOf(node.int('axis', 0), shape.length);
  const outer = countOf(shape.slice(0, axis));
  const whole = countOf(shape.slice(axis));
  moves(compiler, node, inputs, output, (from, to) => (at) => {
    let offset = 0;
    const parts = from.map((ref) => {
      const size = countOf(ref.shape.slice(axis));
      const text = `{ const ${ref.type}* x = ${at(ref)}; for (int i = 0; i < ${outer}; ++i) for (int j = 0; j < ${size}; ++j) y[i * ${whole} + ${offset} + j] = x[i * ${size} + j]; }`;
      offset += size;
      return text;
    });
    return [`${to.type}* y = ${at(to)};`, ...parts].join('\n  ');
  });
}

/** Depth to space and back, as a transposition of six dimensions. */
export function compileBlocks(compiler: Compiler, node: Node): void {
  const x = compiler.input(node, 0);
  const [batch = 1, c = 1, h = 1, w = 1] = compiler.typeOf(x).shape;
  const b = node.int('blocksize', 1);
  let inner: number[];
  let order: number[];
  if (node.op === 'SpaceToDepth') {
    inner = [batch, c, h / b, b, w / b, b];
    order = [0, 3, 5, 1, 2, 4];
  } else if (node.string('mode') === 'CRD') {
    inner = [batch, c / (b * b), b, b, h, w];
    order = [0, 1, 4, 2, 5, 3];
  } else {
    inner = [batch, b, b, c / (b * b), h, w];
    order = [0, 3, 4, 1, 5, 2];
  }
  const strides = stridesOf(inner);
  const dims = order.map((axis) => inner[axis] ?? 1);
  moves(compiler, node, [x], node.output(), ([from], to) =>
    strided(
      from ?? cannot(node, 'no input'),
      to,
      dims,
      order.map((axis) => strides[axis] ?? 1),
      0,
    ),
  );
}
