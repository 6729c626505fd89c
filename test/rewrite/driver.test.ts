import { describe, expect, it } from 'vitest';
import { graph as graphAttr } from '../../src/ir/attr.ts';
import { Graph, Model, type Node, type Value } from '../../src/ir/graph.ts';
import { tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { type Trace, toFixedPoint, walk } from '../../src/rewrite/driver.ts';
import { provenanceKey } from '../../src/rewrite/edit.ts';
import { miss } from '../../src/rewrite/match.ts';
import { any, op } from '../../src/rewrite/pattern.ts';
import type { Rule } from '../../src/rewrite/rule.ts';

function recorder(): Trace & { hits: string[]; skips: string[] } {
  const hits: string[] = [];
  const skips: string[] = [];
  return {
    hits,
    skips,
    applied: (rule, node) => void hits.push(`${rule} @ ${node}`),
    skipped: (rule, node, why) => void skips.push(`${rule} @ ${node}: ${why}`),
  };
}

const f32 = tensorType('float32', [2]);

/** x → op → op → … → y, named n0, n1, … */
function chain(ops: readonly string[]): Model {
  const graph = new Graph('g');
  let value: Value = graph.addInput('x', f32);
  for (const [i, name] of ops.entries()) {
    value = graph.append(name, { name: `n${i}`, inputs: [value], outputs: [`v${i}`], types: [f32] }).output();
  }
  graph.addOutput(value);
  return new Model(graph, 17);
}

const ops = (graph: Graph): string[] => [...graph.nodes].map((node) => node.op);

const negNeg: Rule = {
  id: 'neg-neg',
  summary: 'Neg(Neg(x)) is x',
  ops: ['Neg'],
  pattern: op('Neg', [op('Neg', [any('x')], { once: true })]),
  apply(match, edit) {
    edit.replaceValue(match.root.output(), match.value('x'));
    edit.graph.removeWithUnused(match.root);
  },
};

const reluRelu: Rule = {
  id: 'relu-relu',
  summary: 'Relu(Relu(x)) is Relu(x)',
  ops: ['Relu'],
  pattern: op('Relu', [op('Relu', [any('x')], { as: 'first', once: true })]),
  apply(match, edit) {
    edit.replace(match.root, edit.insertLike(match.node('first'), {}));
  },
};

describe('drivers', () => {
  it('keeps the name of the last output and writes down the provenance', () => {
    const model = chain(['Relu', 'Relu', 'Neg']);
    const trace = recorder();
    expect(walk(model, [reluRelu], trace)).toEqual({ changed: true, applied: 1, converged: true });
    const [relu] = [...model.graph.nodes];
    expect(ops(model.graph)).toEqual(['Relu', 'Neg']);
    expect(relu?.name).toBe('n0');
    expect(relu?.output().name).toBe('v1');
    expect(relu?.meta?.get(provenanceKey)).toBe('relu-relu(n0, n1)');
    expect(trace.hits).toEqual(['relu-relu @ Relu "n0"']);
  });

  it('nests provenance', () => {
    const model = chain(['Relu', 'Relu', 'Relu']);
    toFixedPoint(model, [reluRelu], recorder());
    expect([...model.graph.nodes].map((node) => node.meta?.get(provenanceKey))).toEqual([
      'relu-relu(relu-relu(n0, n1), n2)',
    ]);
  });

  it('reaches the fixed point of chains, and a graph output keeps its name', () => {
    const model = chain(Array.from({ length: 101 }, () => 'Neg'));
    const result = toFixedPoint(model, [negNeg], recorder());
    expect(result).toEqual({ changed: true, applied: 50, converged: true });
    expect(ops(model.graph)).toEqual(['Neg']);
    expect(model.graph.outputs[0]?.name).toBe('v100');
    const even = chain(Array.from({ length: 100 }, () => 'Neg'));
    toFixedPoint(even, [negNeg], recorder());
    expect(ops(even.graph)).toEqual(['Identity']);
    expect(even.graph.outputs[0]?.name).toBe('v99');
  });

  it('stops at the bound and says so', () => {
    const swap = (from: string, to: string): Rule => ({
      id: `${from}-to-${to}`,
      summary: 'swaps',
      ops: [from],
      apply(match, edit) {
        edit.replace(match.root, edit.insert(to, { inputs: match.root.inputs }));
      },
    });
    const trace = recorder();
    const result = toFixedPoint(chain(['Relu']), [swap('Relu', 'Sigmoid'), swap('Sigmoid', 'Relu')], trace, {
      bound: 10,
    });
    expect(result).toEqual({ changed: true, applied: 10, converged: false });
    expect(trace.skips.join()).toContain('stopped after 10 rewrites');
  });

  it('visits subgraphs and function bodies, with the opset of each', () => {
    const body = chain(['Relu', 'Relu']).graph;
    const model = chain(['Relu']);
    const then = new Graph('then');
    const inner = then.append('Relu', { inputs: [model.graph.inputs[0]], outputs: ['t0'], types: [f32] });
    then.addOutput(then.append('Relu', { inputs: [inner.output()], outputs: ['t1'], types: [f32] }).output());
    const condition = model.graph.addInitializer('cond', tensorOf('bool', [], [1]));
    const iff = model.graph.append('If', {
      inputs: [condition],
      outputs: ['i'],
      attrs: { then_branch: graphAttr(then) },
    });
    model.graph.addOutput(iff.output());
    const opsets = new Map([['', 12]]);
    model.addFunction({ domain: 'l', name: 'f', overload: '', body, attributes: [], defaults: new Map(), opsets });
    const seen: number[] = [];
    const rule: Rule = { ...reluRelu, check: (_, site) => seen.push(site.opset) > 0 || 'never' };
    toFixedPoint(model, [rule], recorder());
    expect(ops(then)).toEqual(['Relu']);
    expect(ops(body)).toEqual(['Relu']);
    expect(seen).toEqual([17, 12]);
  });

  it('tells near misses only, each once, and all of them when asked', () => {
    const model = chain(['Relu', 'Relu', 'Neg', 'Relu']);
    const first = [...model.graph.nodes][0] as Node;
    model.graph.addOutput(first.output());
    const trace = recorder();
    toFixedPoint(model, [reluRelu], trace);
    expect(trace.skips).toEqual(['relu-relu @ Relu "n1": "v0" is an output of the graph']);
    const all = recorder();
    walk(model, [reluRelu], all, { allMisses: true });
    expect(all.skips).toEqual([
      'relu-relu @ Relu "n0": "x", read by Relu "n0", is not made by Relu',
      'relu-relu @ Relu "n1": "v0" is an output of the graph',
      'relu-relu @ Relu "n3": Neg "n2" is no Relu',
    ]);
  });

  it('forgets a near miss that another rule mended', () => {
    const model = chain(['Relu', 'Relu']);
    const first = [...model.graph.nodes][0] as Node;
    model.graph.append('Shape', { inputs: [first.output()], outputs: ['unused'] });
    const dead: Rule = {
      id: 'dead',
      summary: 'removes unused nodes',
      ops: ['Shape'],
      check: (match) => !match.root.output().isUsed || 'is used',
      apply: (match, edit) => edit.graph.removeWithUnused(match.root),
    };
    const trace = recorder();
    toFixedPoint(model, [reluRelu, dead], trace);
    expect(ops(model.graph)).toEqual(['Relu']);
    expect(trace.skips).toEqual([]);
  });

  it('lets check and apply refuse with their own reason', () => {
    const trace = recorder();
    const refuse: Rule = {
      id: 'no',
      summary: 'refuses',
      ops: ['Relu'],
      apply: (match) => miss(match.root, 'not today'),
    };
    const quiet: Rule = { id: 'quiet', summary: 'refuses', ops: ['*'], check: () => 'never', apply: () => undefined };
    expect(toFixedPoint(chain(['Relu']), [refuse, quiet], trace).changed).toBe(false);
    expect(trace.skips).toEqual(['no @ Relu "n0": not today']);
  });

  it('costs time linear in the number of nodes', () => {
    const time = (count: number): number => {
      const model = chain(Array.from({ length: count }, (_, i) => (i % 5 < 2 ? 'Relu' : 'Neg')));
      const start = performance.now();
      toFixedPoint(model, [reluRelu, negNeg], recorder());
      return performance.now() - start;
    };
    // The best of some: the machine may be busy with something else.
    const best = (count: number): number => Math.min(...[1, 2, 3].map(() => time(count)));
    time(10_000);
    expect(best(50_000) / best(5_000)).toBeLessThan(40);
  });
});
