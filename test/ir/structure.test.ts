import { describe, expect, it } from 'vitest';
import { UserError } from '../../src/errors.ts';
import { cloneGraph, cloneModel } from '../../src/ir/clone.ts';
import { capturedValues, Graph, Model, type Node } from '../../src/ir/graph.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { int64Vector } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { printModel } from '../../src/ir/text/print.ts';
import { verify } from '../../src/ir/verify.ts';

const header = '<ir_version: 8, opset_import: ["" : 17]>\n';
const parse = (body: string): Model => parseModel(header + body);
const ops = (graph: Graph): string[] => [...graph.nodes].map((node) => node.op);
const codes = (model: Model): string[] => verify(model).map((problem) => problem.code);

const nested = `g (float[N] x, bool c) => (y) < float[1] w = {2} >
{
  h = Relu (x)
  y = If <then_branch = t () => (a) { i = Mul (h, w)  a = If <then_branch = tt () => (aa) { aa = Add (i, h) }, else_branch = te () => (ab) { ab = Neg (x) }> (c) },
          else_branch = e () => (b) < float[1] v = {3} > { b = Add (x, v) }> (c)
}`;

describe('clone', () => {
  it('copies subgraphs, captures and notes, and shares tensors', () => {
    const model = parse(nested);
    model.graph.origin = { kept: true };
    const copy = cloneModel(model);
    expect(printModel(copy)).toBe(printModel(model));
    expect(verify(copy)).toEqual([]);
    expect(copy.graph.origin).toBe(model.graph.origin);
    const [w] = model.graph.initializers;
    const [w2] = copy.graph.initializers;
    expect(w2).not.toBe(w);
    expect(w2?.initializer).toBe(w?.initializer);
    expect(w?.useCount).toBe(1);
    expect(w2?.useCount).toBe(1);
    const seen = new Set([...model.graphs()].flatMap((graph) => [...graph.nodes]));
    for (const graph of copy.graphs()) for (const node of graph.nodes) expect(seen.has(node)).toBe(false);
  });

  it('leaves captured values of a cloned subgraph where they are', () => {
    const model = parse(nested);
    const branch = model.graph.lastNode?.subgraphs[0] as Graph;
    const h = model.graph.firstNode?.output();
    expect(h?.useCount).toBe(2);
    const copy = cloneGraph(branch);
    expect(h?.useCount).toBe(4);
    copy.releaseAll();
    expect(h?.useCount).toBe(2);
  });

  it('copies functions and an initializer that is an input', () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17, "l" : 1]>
g (float[1] x, float[1] w) => (y) < float[1] w = {1} > { y = l.F (x, w) }
<domain: "l", opset_import: ["" : 17]> F <alpha, beta = 2.0> (a, b) => (c) { c = Add (a, b) }`);
    const copy = cloneModel(model);
    expect(printModel(copy)).toBe(printModel(model));
    expect(copy.graph.inputs[1]?.initializer).toBe(model.graph.inputs[1]?.initializer);
    expect(copy.functions[0]?.body.model).toBe(copy);
  });

  it('takes no time that grows with the square: 100 000 nodes', () => {
    const graph = new Graph('g');
    let value = graph.addInput('x');
    for (let index = 0; index < 100_000; index++) value = graph.append('Relu', { inputs: [value] }).output();
    graph.addOutput(value);
    const model = new Model(graph, 17);
    const start = performance.now();
    const copy = cloneModel(model);
    const spent = performance.now() - start;
    expect(copy.graph.nodeCount).toBe(100_000);
    expect(spent).toBeLessThan(20_000);
    expect(verify(copy)).toEqual([]);
    expect(sortTopologically(copy.graph)).toBe(false);
  });
});

describe('sort', () => {
  it('leaves an ordered graph alone and moves only what must', () => {
    const model = parse('g (x) => (e) { d = Neg (b)  a = Relu (x)  b = Abs (a)  c = Exp (x)  e = Add (d, c) }');
    expect(sortTopologically(model.graph)).toBe(true);
    expect(ops(model.graph)).toEqual(['Relu', 'Abs', 'Neg', 'Exp', 'Add']);
    expect(sortTopologically(model.graph)).toBe(false);
    expect(verify(model)).toEqual([]);
  });

  it('counts what a subgraph captures, at any depth, and sorts inside', () => {
    const model = parse(`g (x, c) => (y)
{
  y = If <then_branch = t () => (q) { q = If <then_branch = tt () => (r) { r = Neg (s)  s = Add (h, x) }, else_branch = te () => (r2) { r2 = Exp (x) }> (c) },
          else_branch = e () => (z) { z = Abs (x) }> (c)
  h = Relu (x)
}`);
    expect(codes(model)).toContain('order');
    sortTopologically(model.graph);
    expect(ops(model.graph)).toEqual(['Relu', 'If']);
    expect(verify(model)).toEqual([]);
  });

  it('names the nodes of a cycle', () => {
    const model = parse(
      'g (x) => (d) { [first] a = Add (x, c)  [second] b = Relu (a)  [third] c = Abs (b)  d = Neg (x) }',
    );
    let error: unknown;
    try {
      sortTopologically(model.graph);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(UserError);
    expect((error as UserError).code).toBe('graph-cycle');
    for (const name of ['first', 'second', 'third']) expect((error as UserError).message).toContain(name);
    expect(codes(model)).toContain('order');
  });
});

describe('verify', () => {
  it('is content with a good model', () => {
    expect(verify(parse(nested))).toEqual([]);
  });

  it.each<[string, string, string]>([
    ['two values of one name', 'name-duplicate', 'g (x) => (y) { y = Relu (x)  y = Abs (x) }'],
    ['input and output of one name', 'name-duplicate', 'g (x) => (x) { x = Relu (x) }'],
    ['use before definition', 'order', 'g (x) => (y) { y = Relu (a)  a = Abs (x) }'],
    ['conflicting types', 'type-conflict', 'g (float[2] x, float16[2] b) => (y) { y = Add (x, b) }'],
    ['attribute of a wrong type', 'attr-type', 'g (x) => (y) { y = Softmax <axis = 1.0> (x) }'],
    ['missing attribute', 'attr-missing', 'g (x) => (y) { y = Cast (x) }'],
    ['reference outside a function', 'attr-ref', 'g (x) => (y) { y = Selu <alpha = @a> (x) }'],
    ['unknown domain', 'opset-missing', 'g (x) => (y) { y = com.acme.Foo (x) }'],
    ['missing overload', 'function-missing', 'g (x) => (y) { y = Foo:v2 (x) }'],
    [
      'outer value as a subgraph output',
      'graph-output',
      'g (x, c) => (y) { h = Relu (x) y = If <then_branch = t () => (h) {}, else_branch = e () => (h) {}> (c) }',
    ],
    ['initializer type', 'initializer-type', 'g (float[3] w) => (y) < float[2] w = {1, 2} > { y = Relu (w) }'],
  ])('finds: %s', (_, code, body) => {
    expect(codes(parse(body))).toContain(code);
  });

  it('says where', () => {
    const [problem] = verify(parse(nested.replace('i = Mul (h, w)', 'i = Mul (h, w)  k = Gather <axis = 1.0> (h, i)')));
    expect(problem?.where).toBe('g / If "y" / then_branch / Gather "k"');
  });

  it('finds a call of a function that is not there', () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17, "l" : 1]>
g (x) => (y) { y = l.G (x) } <domain: "l", opset_import: ["" : 17]> F (a) => (b) { b = Relu (a) }`);
    expect(codes(model)).toEqual(['function-missing']);
  });

  it('finds what the text form cannot say', () => {
    const model = parse('g (x) => (y) { h = Relu (x)  y = Abs (h) }');
    const [relu, abs] = [...model.graph.nodes] as [Node, Node];
    const loose = model.graph.looseValue('nowhere');
    abs.setInput(0, loose);
    expect(codes(model)).toEqual(['undefined-value']);
    abs.setInput(0, relu.output());
    expect(verify(model)).toEqual([]);
    relu.output().name = '';
    expect(codes(model)).toEqual(['name-empty']);
    relu.output().name = 'h';
    relu.output().addUse(abs, 3);
    expect(codes(model)).toEqual(['use-list', 'use-list']);
  });

  it('finds a captured value that an inner name hides, and a subgraph of another node', () => {
    const model = parse(nested);
    const branch = model.graph.lastNode?.subgraphs[0] as Graph;
    const mul = branch.firstNode as Node;
    mul.output().name = 'h';
    expect(codes(model)).toContain('name-shadowed');
    mul.output().name = 'i';
    const other = model.graph.append('If', { inputs: [model.graph.inputs[1]], attrs: {} });
    other.attrs.set('then_branch', { type: 'graph', value: branch });
    expect(codes(model)).toContain('graph-owner');
  });
});

describe('graph editing', () => {
  it('gives an attribute graph its owner and releases the graph it replaces', () => {
    const model = parse(nested);
    const branch = model.graph.lastNode as Node;
    const h = model.graph.firstNode?.output();
    expect(capturedValues(branch)).toContain(h);
    const fresh = new Graph('t2');
    fresh.addOutput(
      fresh.append('Constant', { inputs: [], attrs: { value_float: { type: 'float', value: 1 } } }).output(),
    );
    branch.setAttr('then_branch', { type: 'graph', value: fresh });
    expect(fresh.parent).toBe(model.graph);
    expect(h?.isUsed).toBe(false);
    expect(verify(model)).toEqual([]);
  });

  it('keeps fresh names apart from those of graphs that join later', () => {
    const model = parse('g (x, c) => (y) { h = Relu (x)  y = Abs (h) }');
    expect(model.graph.freshName('add')).toBe('add');
    const inner = new Graph('t');
    inner.addOutput(
      inner.append('Add', { inputs: [model.graph.inputs[0], model.graph.inputs[0]], outputs: ['add_1'] }).output(),
    );
    model.graph.append('If', {
      inputs: [model.graph.inputs[1]],
      attrs: { then_branch: { type: 'graph', value: inner } },
    });
    expect(model.graph.freshName('add')).toBe('add_2');
  });

  it('replaces a value that is a graph output twice, and one that a subgraph hands out', () => {
    const model = parse(
      'g (x, c) => (h, h, y) { h = Relu (x)  k = Abs (x)  y = If <then_branch = t () => (h) {}, else_branch = e () => (n) { n = Neg (x) }> (c) }',
    );
    const [relu, abs] = [...model.graph.nodes] as [Node, Node];
    model.graph.replaceUses(relu.output(), abs.output());
    expect(model.graph.outputs.map((value) => value.name)).toEqual(['h', 'h', 'y']);
    expect(relu.output().isUsed).toBe(false);
    expect(model.graph.outputs[0]).toBe(abs.output());
    model.graph.remove(relu);
  });

  it('carries an output name with an Identity where the new value is an input or an output itself', () => {
    const model = parse('g (float[2] x) => (float[2] y) { y = Identity (x) }');
    const identity = model.graph.firstNode as Node;
    model.graph.replaceUses(identity.output(), model.graph.inputs[0] as never);
    model.graph.remove(identity);
    expect(model.graph.outputs[0]?.name).toBe('y');
    expect(ops(model.graph)).toEqual(['Identity']);
    expect(verify(model)).toEqual([]);
  });

  it('replaces outputs in time that does not grow with the square: 20 000 of them, some more than once', () => {
    const graph = new Graph('g');
    const x = graph.addInput('x');
    const nodes = Array.from({ length: 20_000 }, (_, at) => {
      const inner = graph.append('Relu', { inputs: [x] }).output();
      const node = graph.append('Identity', { inputs: [inner], outputs: [`y${at}`] });
      graph.addOutput(node.output());
      return node;
    });
    const [first, second] = nodes as [Node, Node];
    graph.addOutput(first.output());
    graph.setOutput(5, second.output());
    graph.removeOutput(7);
    graph.addOutput(second.output());
    const names = graph.outputs.map((value) => value.name);
    const start = performance.now();
    for (const node of nodes) {
      graph.replaceUses(node.output(), node.input(0) as never);
      graph.remove(node);
    }
    expect(performance.now() - start).toBeLessThan(2000);
    expect(graph.outputs.map((value) => value.name)).toEqual(names);
    expect(new Set(graph.outputs.map((value) => value.producer?.op))).toEqual(new Set(['Relu']));
  });

  it('goes on iterating while nodes come and go', () => {
    const model = parse('g (x) => (d) { a = Relu (x)  b = Abs (a)  c = Neg (b)  d = Exp (c) }');
    const seen: string[] = [];
    for (const node of model.graph.nodes) {
      seen.push(node.op);
      if (node.op !== 'Abs') continue;
      const [input] = node.inputs;
      const next = node.next as Node;
      model.graph.replaceUses(node.output(), input as never);
      model.graph.remove(node);
      model.graph.replaceUses(next.output(), input as never);
      model.graph.remove(next);
      model.graph.append('Tanh', { inputs: [input] });
    }
    expect(seen).toEqual(['Relu', 'Abs', 'Exp', 'Tanh']);
    const reversed: string[] = [];
    for (const node of model.graph.nodesReversed()) {
      reversed.push(node.op);
      if (node.op === 'Tanh') model.graph.remove(node);
    }
    expect(reversed).toEqual(['Tanh', 'Exp', 'Relu']);
    expect(verify(model)).toEqual([]);
  });

  it('removes what becomes unused, and never what is used', () => {
    const model = parse('g (x) => (y) < float[1] w = {1} > { a = Mul (x, w)  b = Abs (a)  y = Relu (x) }');
    const [mul, abs] = [...model.graph.nodes] as [Node, Node];
    expect(() => model.graph.remove(mul)).toThrow('still used');
    model.graph.removeWithUnused(abs);
    expect(ops(model.graph)).toEqual(['Relu']);
    expect(model.graph.initializers.size).toBe(0);
    expect(model.graph.addInitializer('w', int64Vector([1])).name).toBe('w');
  });
});
