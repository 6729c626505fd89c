import { describe, expect, it } from 'vitest';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { type PartitionRules, partition, verdictOf } from '../../../targets/mobile/partition.ts';
import { xnnpack } from '../../../targets/mobile/tables/xnnpack.ts';
import { xnnpackTakes } from '../../../targets/mobile/tables/xnnpack-conditions.ts';

const rules: PartitionRules = {
  table: { 'ai.onnx:Relu': '', 'ai.onnx:MatMul': 'Only 2D.' },
  needsFixedShapes: true,
  maxRank: 3,
};

function partitionOf(body: string, signature = 'float[2,4] x) => (float[2,4] y', given: Partial<PartitionRules> = {}) {
  const model = parseModel(
    `<ir_version: 8, opset_import: ["" : 17]>\nmain (${signature})\n<float[4,4] w = random(1, -1, 1)>\n{\n${body}\n}`,
  );
  const macs = countMacs(model, inferShapes(model)).byNode;
  return partition(model.graph, macs, { ...rules, ...given });
}

describe('partitions', () => {
  it('one group where nothing is in between', () => {
    const parts = partitionOf('a = Relu (x)\nb = MatMul (a, w)\ny = Relu (b)');
    expect(parts).toMatchObject({
      nodes: 3,
      supported: 3,
      partitions: [3],
      arithmetic: 1,
      caveats: { 'ai.onnx:MatMul': 'Only 2D.' },
    });
    expect(verdictOf(parts)).toBe('yes');
  });

  it('an operator in between cuts in two', () => {
    const parts = partitionOf('a = Relu (x)\nb = Tanh (a)\ny = Relu (b)');
    expect(parts).toMatchObject({
      supported: 2,
      partitions: [1, 1],
      unsupportedOps: { 'ai.onnx:Tanh': 1 },
      arithmetic: 0,
    });
    expect(verdictOf(parts)).toBe('no');
  });

  it('a node that the provider refuses stays out, and is counted as refused', () => {
    const given = { table: xnnpack, takesNode: xnnpackTakes, needsFixedShapes: false, maxRank: 4 };
    // Constant weights are taken, products of two activations are not.
    const parts = partitionOf(
      'a = MatMul (x, w)\nt = Transpose (a)\ny = MatMul (a, t)',
      'float[4,4] x) => (float[4,4] y',
      given,
    );
    expect(parts).toMatchObject({ supported: 1, refusedOps: { 'ai.onnx:MatMul': 1 }, arithmetic: 0.5 });
    const line = 'float[1,4,9] x) => (float[1,4,9] y';
    expect(partitionOf('y = MaxPool <kernel_shape = [1]> (x)', line, given).refusedOps).toEqual({
      'ai.onnx:MaxPool': 1,
    });
    const picture = 'float[n,4,9,9] x) => (float[n,4,9,9] y';
    expect(partitionOf('y = MaxPool <kernel_shape = [1,1]> (x)', picture, given).supported).toBe(1);
    expect(partitionOf('y = Gemm (x, w)', 'float[4,4] x) => (float[4,4] y', given).supported).toBe(0);
    expect(partitionOf('y = Gemm (x, w, w)', 'float[4,4] x) => (float[4,4] y', given).supported).toBe(1);
  });

  it('a branch that does not read from the group does not close it', () => {
    const parts = partitionOf('a = Relu (x)\nt = Tanh (x)\nb = Relu (a)\ny = Add (b, t)');
    expect(parts.partitions).toEqual([2]);
  });

  it('unknown extents and too many axes stay out', () => {
    expect(partitionOf('y = Relu (x)', 'float[n,4] x) => (float[n,4] y')).toMatchObject({ supported: 0, dynamic: 1 });
    expect(partitionOf('y = Relu (x)', 'float[n,4] x) => (float[n,4] y', { needsFixedShapes: false }).supported).toBe(
      1,
    );
    expect(partitionOf('y = Relu (x)', 'float[1,1,2,4] x) => (float[1,1,2,4] y')).toMatchObject({
      supported: 0,
      rank: 1,
    });
  });

  it('counts the nodes of subgraphs', () => {
    const parts = partitionOf(
      'y = If (c) <then_branch = t () => (float[2,4] p) { p = Relu (x) }, else_branch = e () => (float[2,4] q) { q = Tanh (x) }>',
      'bool c, float[2,4] x) => (float[2,4] y',
    );
    expect(parts).toMatchObject({ nodes: 3, supported: 1 });
  });

  it.each([
    [100, [80], 'yes'],
    [100, [60], 'maybe'],
    [100, [40], 'no'],
    [100, [40, 40], 'maybe'],
    [100, [30, 30], 'no'],
    [100, [40, 30, 30], 'no'],
    [0, [], 'no'],
  ] as const)('of %s nodes %s is %s', (nodes, partitions, verdict) => {
    const supported = partitions.reduce<number>((sum, size) => sum + size, 0);
    const parts = {
      nodes,
      supported,
      partitions,
      arithmetic: 0,
      unsupportedOps: {},
      refusedOps: {},
      dynamic: 0,
      rank: 0,
      caveats: {},
    };
    expect(verdictOf(parts)).toBe(verdict);
  });
});
