import { describe, expect, it } from 'vitest';
import { canonicalText, compareModels } from '../../src/ir/text/canonical.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

const header = '<ir_version: 8, opset_import: ["" : 17]>\n';
const same = (a: string, b: string): string | undefined =>
  compareModels(parseModel(header + a), parseModel(header + b));

describe('comparison of models', () => {
  const base = `g (float[N] x, bool c) => (float[N] y) < float[1] one = {1}, float[1] two = {2} >
    { a = Add (x, one)  b = Mul (a, two)  y = If <then_branch = t () => (p) { p = Neg (b) }, else_branch = e () => (q) { q = Sub (b, one) }> (c) }`;

  it('overlooks names, order and attribute order', () => {
    expect(
      same(
        base,
        `other (float[N] x, bool c) => (float[N] y) < float[1] zwei = {2}, float[1] eins = {1} >
    { [n2] m = Mul (k, zwei)  [n1] k = Add (x, eins)  y = If <else_branch = ee () => (r) { r = Sub (m, eins) }, then_branch = tt () => (s) { s = Neg (m) }> (c) }`,
      ),
    ).toBeUndefined();
  });

  it.each([
    ['an op', base.replace('Mul', 'Div')],
    ['the order of inputs', base.replace('(a, two)', '(two, a)')],
    ['a constant', base.replace('{2}', '{3}')],
    ['a constant in a branch', base.replace('Sub (b, one)', 'Sub (b, two)')],
    ['the name of an output', base.replaceAll('y', 'z')],
    ['the type of an input', base.replace('float[N] x', 'float[M] x')],
    ['an unused node', base.replace('{ a =', '{ u = Abs (x)  a =')],
    ['an attribute', base.replace('Neg (b)', 'LeakyRelu <alpha = 0.5> (b)')],
  ])('sees %s', (_, changed) => {
    expect(same(base, changed)).toMatch(/^line \d+: expected .*, got /);
  });

  it('tells long tensors apart by their bytes', () => {
    const model = (seed: number) => `g () => (y) < float[100] w = random(${seed}) > { y = Relu (w) }`;
    expect(same(model(1), model(1))).toBeUndefined();
    expect(same(model(1), model(2))).toContain('hash');
  });

  it('counts inner types only when asked', () => {
    const a = parseModel(`${header}g (float[N] x) => (y) { float[N] h = Relu (x)  y = Abs (h) }`);
    const b = parseModel(`${header}g (float[N] x) => (y) { h = Relu (x)  y = Abs (h) }`);
    expect(canonicalText(a)).toBe(canonicalText(b));
    expect(compareModels(a, b)).toBeUndefined();
    expect(compareModels(a, b, { innerTypes: true })).toContain('float');
  });
});
