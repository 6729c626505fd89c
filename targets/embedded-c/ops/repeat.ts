import type { Node } from '../../../src/ir/graph.ts';
import { stridesOf } from '../../../src/kernels/walk.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, floatLiteral } from '../compile/types.ts';
import { collapse } from './element-loops.ts';
import { axisOf, known, strided } from './move.ts';

/** Operators whose output is larger than their input: filled up or repeated. */
export function compilePad(compiler: Compiler, node: Node): void {
  const x = compiler.input(node, 0);
  const { shape } = compiler.typeOf(x);
  const out = compiler.typeOf(node.output()).shape;
  const mode = node.string('mode') ?? 'constant';
  const given = known(compiler, node, 1) ?? node.ints('pads') ?? cannot(node, 'it has no pads');
  const axes = known(compiler, node, 3)?.map((axis) => axisOf(axis, shape.length)) ?? shape.map((_, i) => i);
  const before = shape.map((_, axis) => {
    const at = axes.indexOf(axis);
    return at < 0 ? 0 : (given[at] ?? 0);
  });
  const fill = node.inputs[2] ? (known(compiler, node, 2)?.[0] ?? 0) : node.float('value', 0);
  const from = compiler.ref(x);
  const to = compiler.define(node.output());
  const strides = stridesOf(shape);
  const value = to.type === 'f32' ? floatLiteral(fill) : String(fill);
  const inside = mode === 'constant';
  if (!inside && mode !== 'edge' && mode !== 'reflect') cannot(node, `its mode is ${mode}`);
  const places = shape.map((dim, axis) => {
    const raw = `i${axis} - (${before[axis] ?? 0})`;
    if (inside) return raw;
    if (mode === 'edge') return `clampi(${raw}, 0, ${dim - 1})`;
    return `mirror(${raw}, ${dim})`;
  });
  if (mode === 'reflect') compiler.kernels.add('mirror');
  const loops = out.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
  const tests = places.map((place, axis) => `${place} >= 0 && ${place} < ${shape[axis] ?? 1}`).join(' && ');
  const source = `x[${places.map((place, axis) => `(${place}) * ${strides[axis] ?? 1}`).join(' + ') || '0'}]`;
  const target = `y[${
    stridesOf(out)
      .map((stride, axis) => `i${axis} * ${stride}`)
      .join(' + ') || '0'
  }]`;
  compiler.steps.push({
    title: `${node}`,
    reads: [from],
    writes: [to],
    code: (at) =>
      `const ${from.type}* x = ${at(from)};\n  ${to.type}* y = ${at(to)};\n  ${loops} ${target} = ${inside && tests ? `${tests} ? ${source} : ${value}` : source};`,
  });
}

/** Repeats elements in every dimension. */
export function compileTile(compiler: Compiler, node: Node): void {
  const x = compiler.ref(compiler.input(node, 0));
  const to = compiler.define(node.output());
  const strides = stridesOf(x.shape);
  const loops = to.shape.map((dim, axis) => `for (int i${axis} = 0; i${axis} < ${dim}; ++i${axis})`).join(' ');
  const source = x.shape.map((dim, axis) => `i${axis} % ${dim} * ${strides[axis] ?? 1}`).join(' + ') || '0';
  const target =
    stridesOf(to.shape)
      .map((stride, axis) => `i${axis} * ${stride}`)
      .join(' + ') || '0';
  compiler.steps.push({
    title: `${node}`,
    reads: [x],
    writes: [to],
    code: (at) =>
      `const ${x.type}* x = ${at(x)};\n  ${to.type}* y = ${at(to)};\n  ${loops} y[${target}] = x[${source}];`,
  });
}

/** A value repeated to a larger shape. */
export function compileExpand(compiler: Compiler, node: Node): void {
  const x = compiler.ref(compiler.input(node, 0));
  const to = compiler.define(node.output());
  const { dims, strides } = collapse(to.shape, [x]);
  compiler.steps.push({
    title: `${node}`,
    reads: [x],
    writes: [to],
    code: strided(x, to, dims, strides.get(x) ?? [], 0),
  });
}
