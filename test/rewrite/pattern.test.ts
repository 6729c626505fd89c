import { describe, expect, it } from 'vitest';
import { type Attr, float } from '../../src/ir/attr.ts';
import type { Model, Node } from '../../src/ir/graph.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { type Match, matchNode } from '../../src/rewrite/match.ts';
import { absent, any, attrIs, constant, maybe, type OpPattern, oneOf, op } from '../../src/rewrite/pattern.ts';

function model(body: string, outputs = 'y'): Model {
  const results = outputs.split(', ').map((name) => `float[2] ${name}`);
  return parseModel(`<ir_version: 8, opset_import: ["" : 17, "my" : 1]>
main (float[2] x, float[2] z, bool cond) => (${results.join(', ')})
<float[2] c = {1, 2}, float[2] d = {3, 4}, float one = {1}>
{
${body}
}`);
}

function at(source: Model, output = 'y'): Node {
  for (const node of source.graph.nodes) if (node.outputs.some((value) => value?.name === output)) return node;
  throw new Error(`no ${output}`);
}

function bound(pattern: OpPattern, source: Model): Match {
  const result = matchNode(pattern, at(source));
  if ('miss' in result) throw new Error(result.miss.why);
  return result.match;
}

function why(pattern: OpPattern, source: Model): { why: string; depth: number; near: boolean } {
  const result = matchNode(pattern, at(source));
  if ('match' in result) throw new Error('it matches');
  const { depth, near } = result.miss;
  return { why: result.miss.why, depth, near };
}

describe('patterns', () => {
  it('bind values, nodes and constants', () => {
    const match = bound(
      op('Add', [op('Relu', [any('x')], { as: 'relu' }), constant('c')], { as: 'add' }),
      model('r = Relu (x)\ny = Add (r, c)'),
    );
    expect(match.value('x').name).toBe('x');
    expect(match.node('relu').op).toBe('Relu');
    expect(match.tensor('c').shape).toEqual([2]);
    expect(match.nodes.map((node) => node.op)).toEqual(['Add', 'Relu']);
    expect(match.has('nothing')).toBe(false);
    expect(() => match.value('nothing')).toThrow('binds no value');
  });

  it('try commutative operators both ways, others not', () => {
    const pattern = (name: string) => op(name, [op('Relu', [any('x')]), constant('c')]);
    expect(bound(pattern('Mul'), model('r = Relu (x)\ny = Mul (c, r)')).value('c').name).toBe('c');
    expect(why(pattern('Sub'), model('r = Relu (x)\ny = Sub (c, r)')).why).toBe(
      '"r", read by Sub "y", is not constant',
    );
  });

  it('go back when the first way leads nowhere further down', () => {
    const pattern = op('Add', [
      op('Mul', [op('Relu', [any('a')]), any('s')]),
      op('Mul', [op('Neg', [any('b')]), any('s')]),
    ]);
    const match = bound(pattern, model('r = Relu (x)\nn = Neg (z)\np = Mul (x, n)\nq = Mul (r, x)\ny = Add (p, q)'));
    expect(match.value('a').name).toBe('x');
    expect(match.value('b').name).toBe('z');
    expect(match.value('s').name).toBe('x');
  });

  it('want the same value where a name stands twice', () => {
    const square = op('Mul', [any('x'), any('x')]);
    expect(bound(square, model('y = Mul (x, x)')).value('x').name).toBe('x');
    expect(why(square, model('y = Mul (x, z)')).why).toBe(
      '"z", read by Mul "y", is not the value read elsewhere in the pattern',
    );
    const diamond = op('Add', [
      op('Neg', [op('Relu', [any()], { as: 'r' })]),
      op('Abs', [op('Relu', [any()], { as: 'r' })]),
    ]);
    expect(bound(diamond, model('r = Relu (x)\nn = Neg (r)\na = Abs (r)\ny = Add (n, a)')).node('r').op).toBe('Relu');
    const two = 'r = Relu (x)\ns = Relu (x)\nn = Neg (r)\na = Abs (s)\ny = Add (n, a)';
    expect(why(diamond, model(two)).why).toBe('Relu "s" is not the node met before as r');
  });

  it('know optional and absent inputs', () => {
    const clip = op('Clip', [any('x'), maybe(constant('low')), maybe(constant('high'))]);
    const upper = bound(clip, model('y = Clip (x, , one)'));
    expect([upper.has('low'), upper.has('high')]).toEqual([false, true]);
    expect(bound(clip, model('y = Clip (x)')).maybeTensor('low')).toBeUndefined();
    expect(why(op('Clip', [any('x'), absent(), maybe(any())]), model('y = Clip (x, one)')).why).toContain(
      'must be absent',
    );
    expect(why(op('Clip', [any('x')]), model('y = Clip (x, one)')).why).toContain(
      'more than the 1 that are understood',
    );
    expect(why(op('Add', [any(), any()]), model('y = Add (x)')).why).toBe('Add "y" has no input 1');
  });

  it('hold attributes and conditions against the node, with their sentences', () => {
    const source = model('y = my.Scale <alpha = 2.0, axis = 1, mode = "a", k = [1, 2]> (x)');
    const scale = (attrs: Record<string, (attr: Attr | undefined) => true | string>) =>
      op('my.Scale', [any()], { attrs });
    bound(
      scale({ alpha: attrIs(2), axis: attrIs(1), mode: attrIs('a'), k: attrIs([1, 2]), other: attrIs(0, 0) }),
      source,
    );
    expect(why(scale({ axis: attrIs(-1) }), source).why).toBe('attribute axis of my.Scale "y" is 1, not -1');
    expect(why(scale({ other: attrIs(1) }), source).why).toBe('attribute other of my.Scale "y" is not given, not 1');
    expect(why(op('my.Scale', [any('x', (value) => value.name === 'q' || 'not q')]), source).why).toBe('not q');
    expect(
      why(op('my.Scale', undefined, { where: (node) => node.attr('beta') !== undefined || 'no beta' }), source).why,
    ).toBe('no beta');
    expect(why(op('Scale', [any()]), source)).toEqual({ why: 'my.Scale "y" is no Scale', depth: 0, near: false });
  });

  it('hold conditions against constants', () => {
    const unit = constant('c', (tensor) => tensor.shape.length === 0 || 'is no scalar');
    expect(bound(op('Mul', [any(), unit]), model('y = Mul (x, one)')).value('c').name).toBe('one');
    expect(why(op('Mul', [any(), unit]), model('y = Mul (x, c)')).why).toBe('is no scalar');
  });

  it('take operator and pattern alternatives', () => {
    const pattern = op('Neg', [
      oneOf(op('Relu', [any('x')], { as: 'relu' }), op(['Abs', 'Exp'], [any('x')], { as: 'other' })),
    ]);
    expect(bound(pattern, model('r = Exp (x)\ny = Neg (r)')).node('other').op).toBe('Exp');
    expect(bound(pattern, model('r = Relu (x)\ny = Neg (r)')).has('relu')).toBe(true);
    expect(why(pattern, model('r = Tanh (x)\ny = Neg (r)')).why).toBe('Tanh "r" is no Relu');
  });

  it('tell the deepest condition that failed', () => {
    const pattern = op('Neg', [op('Relu', [op('Abs', [constant('c')], { once: true })], { once: true })]);
    const deep = model('a = Abs (x)\nr = Relu (a)\ny = Neg (r)');
    expect(why(pattern, deep)).toEqual({ why: '"x", read by Abs "a", is not constant', depth: 3, near: true });
    const shallow = model('r = Relu (x)\ny = Neg (r)');
    expect(why(pattern, shallow)).toEqual({ why: '"x", read by Relu "r", is not made by Abs', depth: 2, near: true });
  });

  it('say why a value is not used once', () => {
    const pattern = op('Neg', [op('Relu', [any()], { once: true })]);
    expect(why(pattern, model('r = Relu (x)\ny = Neg (r)', 'y, r')).why).toBe('"r" is an output of the graph');
    const many = 'r = Relu (x)\ny = Neg (r)\na = Abs (r)\nb = Exp (r)\ne = Tanh (r)';
    expect(why(pattern, model(many)).why).toBe('"r" is read by 4 nodes: Neg "y", Abs "a", Exp "b", …');
    const captured = `r = Relu (x)
y = Neg (r)
i = If <then_branch = yes () => (float[2] t) { t = If <then_branch = deep () => (float[2] u) { u = Abs (r) }, else_branch = no2 () => (float[2] v) { v = Abs (x) }> (cond) }, else_branch = no () => (float[2] e) { e = Abs (x) }> (cond)`;
    expect(why(pattern, model(captured)).why).toBe('"r" is captured by subgraph "yes" of If "i"');
    const twice = op('Add', [op('Relu', [any()], { once: true }), any()]);
    expect(why(twice, model('r = Relu (x)\ny = Add (r, r)')).why).toBe('"r" is read 2 times by Add "y"');
    const split = op('Neg', [op('Split', undefined, { once: true })]);
    expect(why(split, model('a, b = Split <num_outputs = 2> (x)\nw = Abs (b)\ny = Neg (a)')).why).toBe(
      'output "b" of Split "a" is used too',
    );
    expect(why(split, model('a, b = Split <num_outputs = 2> (x)\ny = Neg (b)')).why).toBe(
      '"b" is output 1 of Split "a"',
    );
  });

  it("never take attributes that a function's caller gives for their defaults", () => {
    const source = model('y = Relu (x)');
    at(source).attrs.set('alpha', { type: 'ref', value: 'alpha' });
    expect(why(op('Relu', [any()]), source).why).toBe('attribute alpha of Relu "y" comes from the function\'s caller');
    at(source).attrs.set('alpha', float(1));
    bound(op('Relu', [any()]), source);
  });
});
