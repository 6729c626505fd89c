import { describe, expect, test } from 'vitest';
import { auditModel } from '../../src/engine/audit.ts';
import type { AttrInput } from '../../src/ir/attr.ts';
import { float } from '../../src/ir/attr.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { type ArrayDType, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { type Dim, tensorType } from '../../src/ir/types.ts';
import { haveSharedModels, sharedModel } from '../support/shared-models.ts';

/** Builds quantized graphs by hand. */
class Qdq {
  readonly graph = new Graph('g');
  #count = 0;

  input(shape: Dim[]): Value {
    return this.graph.addInput('x', tensorType('float32', shape));
  }
  scalar(dtype: ArrayDType, value: number): Value {
    return this.graph.addInitializer(`c${this.#count++}`, tensorOf(dtype, [], [value]));
  }
  node(
    op: string,
    inputs: Value[],
    attrs: Record<string, AttrInput> = {},
    type: DType = 'float32',
    domain = '',
  ): Value {
    const name = `${op}_${this.#count++}`;
    return this.graph
      .append(op, { domain, name, inputs, outputs: [`${name}_out`], attrs, types: [tensorType(type)] })
      .output();
  }
  q(value: Value, scale = 0.05, zero = 128, dtype: ArrayDType = 'uint8'): Value {
    return this.node('QuantizeLinear', [value, this.scalar('float32', scale), this.scalar(dtype, zero)], {}, dtype);
  }
  dq(value: Value, scale = 0.05, zero = 128, dtype: ArrayDType = 'uint8'): Value {
    return this.node('DequantizeLinear', [value, this.scalar('float32', scale), this.scalar(dtype, zero)]);
  }
  /** Through integers and back. */
  qdq(value: Value, scale = 0.05, zero = 128, dtype: ArrayDType = 'uint8'): Value {
    return this.dq(this.q(value, scale, zero, dtype), scale, zero, dtype);
  }
  weight(shape: number[], dtype: ArrayDType = 'int8', scale = 0.02): Value {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Array.from({ length: count }, (_, at) => ((at * 37) % 100) - (dtype === 'int8' ? 50 : 0));
    return this.dq(this.graph.addInitializer(`w${this.#count++}`, tensorOf(dtype, shape, values)), scale, 0, dtype);
  }
  bias(count: number, scale: number): Value {
    const values = this.graph.addInitializer(
      `b${this.#count++}`,
      tensorFrom(
        'int32',
        [count],
        Int32Array.from({ length: count }, (_, at) => at * 100),
      ),
    );
    return this.node('DequantizeLinear', [values, this.scalar('float32', scale)]);
  }
  float(shape: number[]): Value {
    const count = shape.reduce((a, b) => a * b, 1);
    return this.graph.addInitializer(
      `f${this.#count++}`,
      tensorFrom(
        'float32',
        shape,
        Float32Array.from({ length: count }, (_, at) => Math.sin(at)),
      ),
    );
  }
  model(output: Value, opset = 17): Model {
    this.graph.addOutput(output);
    return new Model(this.graph, opset, 10);
  }
}

const picture: Dim[] = [1, 4, 8, 8];
const conv = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };

interface Case {
  readonly name: string;
  readonly build: () => Model;
  readonly quantized: number;
  readonly float: number;
  /** Op and sentence of each finding. */
  readonly findings: readonly (readonly [string, string | RegExp])[];
}

const cases: readonly Case[] = [
  {
    name: 'a convolution between Q and DQ fuses',
    build() {
      const g = new Qdq();
      return g.model(g.qdq(g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3]), g.bias(4, 0.001)], conv)));
    },
    quantized: 1,
    float: 0,
    findings: [],
  },
  {
    name: 'a convolution whose output is not quantized',
    build() {
      const g = new Qdq();
      return g.model(g.node('Sigmoid', [g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv)]));
    },
    quantized: 0,
    float: 1,
    findings: [
      [
        'FusedConv',
        'Sigmoid stands behind it and its output is not quantized; QLinearConv needs a QuantizeLinear there',
      ],
    ],
  },
  {
    name: 'a convolution read by a float op',
    build() {
      const g = new Qdq();
      return g.model(g.node('Exp', [g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv)]));
    },
    quantized: 0,
    float: 1,
    findings: [
      [
        'Conv',
        /^its output is not quantized \(read in float by Exp ".*"\); QLinearConv needs a QuantizeLinear behind it$/,
      ],
    ],
  },
  {
    name: 'a convolution that makes a graph output',
    build() {
      const g = new Qdq();
      return g.model(g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv));
    },
    quantized: 0,
    float: 1,
    findings: [['Conv', /^it makes the graph output ".*" itself/]],
  },
  {
    name: 'a second consumer in float',
    build() {
      const g = new Qdq();
      const y = g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv);
      return g.model(g.node('Sub', [g.qdq(y), g.node('Exp', [y])]));
    },
    quantized: 0,
    float: 1,
    findings: [['Conv', /^its output is also read in float by Exp/]],
  },
  {
    name: 'a Relu before a symmetric zero point',
    build() {
      const g = new Qdq();
      const y = g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv);
      return g.model(g.qdq(g.node('Relu', [y]), 0.05, 128));
    },
    quantized: 0,
    float: 1,
    findings: [
      ['FusedConv', /^Relu stands between it and its QuantizeLinear, whose zero point 128 is not the lowest code/],
    ],
  },
  {
    name: 'a Relu before zero point 0 fuses',
    build() {
      const g = new Qdq();
      const y = g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv);
      return g.model(g.qdq(g.node('Relu', [y]), 0.05, 0));
    },
    quantized: 1,
    float: 0,
    findings: [],
  },
  {
    name: 'a bias scale that is 5 % off',
    build() {
      const g = new Qdq();
      return g.model(
        g.qdq(g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3]), g.bias(4, 0.00105)], conv)),
      );
    },
    quantized: 0,
    float: 1,
    findings: [['Conv', /^the scale of its bias is 5\.0 % off input scale × weight scale/]],
  },
  {
    name: '16 bits',
    build() {
      const g = new Qdq();
      const x = g.qdq(g.input(picture), 0.001, 32768, 'uint16');
      return g.model(g.qdq(g.node('Add', [x, g.weight([4, 8, 8], 'uint16')]), 0.001, 32768, 'uint16'), 21);
    },
    quantized: 0,
    float: 0,
    findings: [['Add', /^16-bit quantization has no integer kernels on the CPU/]],
  },
  {
    name: 'an input that is not quantized',
    build() {
      const g = new Qdq();
      const x = g.input(picture);
      return g.model(g.qdq(g.node('Add', [g.qdq(x), g.node('Exp', [x])])));
    },
    quantized: 0,
    float: 0,
    findings: [['Add', /^its input "Exp_.*" does not come from a DequantizeLinear, as QLinearAdd needs$/]],
  },
  {
    name: 'ops without integer kernels',
    build() {
      const g = new Qdq();
      const x = g.qdq(g.input(picture));
      return g.model(g.qdq(g.node('Tanh', [x])));
    },
    quantized: 0,
    float: 0,
    findings: [['Tanh', /^Tanh has no integer kernel on the CPU/]],
  },
  {
    name: 'a mover between different scales',
    build() {
      const g = new Qdq();
      const x = g.qdq(g.input(picture));
      return g.model(g.qdq(g.node('MaxPool', [x], { kernel_shape: [2, 2] }), 0.07));
    },
    quantized: 0,
    float: 0,
    findings: [['MaxPool', /^MaxPool could move the integers as they are, but scale or zero point differ/]],
  },
  {
    name: 'a convolution with only its weight quantized',
    build() {
      const g = new Qdq();
      return g.model(g.node('Conv', [g.input(picture), g.weight([4, 4, 3, 3])], conv));
    },
    quantized: 0,
    float: 1,
    findings: [['Conv', /^only its weight is quantized, and is turned back into float on every run/]],
  },
  {
    name: 'ConvInteger',
    build() {
      const g = new Qdq();
      const x = g.graph.addInput('x', tensorType('uint8', picture));
      const w = g.graph.addInitializer('w', tensorFrom('int8', [4, 4, 3, 3], new Int8Array(144).fill(3)));
      return g.model(g.node('ConvInteger', [x, w], conv, 'int32'));
    },
    quantized: 1,
    float: 0,
    findings: [['ConvInteger', /with int8 weights it runs about 3\.6 × slower/]],
  },
  {
    name: 'a matrix product with and without quantized output',
    build() {
      const g = new Qdq();
      const y = g.node('MatMul', [g.qdq(g.input([2, 8])), g.weight([8, 8])]);
      return g.model(g.node('Exp', [g.node('MatMul', [g.qdq(y), g.weight([8, 8])])]));
    },
    quantized: 2,
    float: 0,
    findings: [],
  },
  {
    name: 'a matrix product right before a Relu',
    build() {
      const g = new Qdq();
      return g.model(g.node('Exp', [g.node('Relu', [g.node('MatMul', [g.qdq(g.input([2, 8])), g.weight([8, 8])])])]));
    },
    quantized: 0,
    float: 1,
    findings: [['MatMul', /^Relu ".*" stands behind it and its output is not quantized; QLinearMatMul needs/]],
  },
  {
    name: '4-bit weights without int8 arithmetic',
    build() {
      const g = new Qdq();
      const x = g.input([1, 32]);
      const b = g.graph.addInitializer('B', tensorFrom('uint8', [2048, 1, 16], new Uint8Array(32_768).fill(0x98)));
      const scales = g.float([2048, 1]);
      const attrs = { K: 32, N: 2048, bits: 4, block_size: 32 };
      const model = g.model(g.node('MatMulNBits', [x, b, scales], attrs, 'float32', 'com.microsoft'));
      model.opsets.set('com.microsoft', 1);
      return model;
    },
    quantized: 1,
    float: 0,
    findings: [['MatMulNBits', /^accuracy_level is not 4/]],
  },
  {
    name: 'a Gemm with beta 2',
    build() {
      const g = new Qdq();
      const x = g.qdq(g.input([2, 8]));
      return g.model(g.qdq(g.node('Gemm', [x, g.weight([8, 8]), g.bias(8, 0.001)], { beta: float(2) })));
    },
    quantized: 0,
    float: 1,
    findings: [['Gemm', 'beta is 2; QGemm needs 1']],
  },
];

describe('audit', () => {
  test.each(cases)('$name', async ({ build, quantized, float: inFloat, findings }) => {
    const result = await auditModel(build());
    expect({
      quantized: result.quantizedNodes,
      float: result.floatNodes,
      ops: result.findings.map(({ op }) => op),
    }).toEqual({
      quantized,
      float: inFloat,
      ops: findings.map(([op]) => op),
    });
    for (const [index, [, why]] of findings.entries()) expect(result.findings[index]?.why).toMatch(why);
  });

  test('Q and DQ at the edge of the graph are no leftovers', async () => {
    const g = new Qdq();
    const result = await auditModel(
      g.model(g.qdq(g.node('Conv', [g.qdq(g.input(picture)), g.weight([4, 4, 3, 3])], conv))),
    );
    expect([result.leftoverQdq, result.fusedOps]).toEqual([0, { QLinearConv: 1 }]);
    const island = new Qdq();
    const x = island.qdq(island.input(picture));
    const left = await auditModel(island.model(island.qdq(island.node('Exp', [x]))));
    expect(left.leftoverQdq).toBe(2);
  });
});

describe.skipIf(!haveSharedModels)('audit of shared models', () => {
  test.each([
    ['cifar10-resnet20', 'model.onnx', { quantizedNodes: 0, floatNodes: 20, fusedOps: { FusedConv: 10 } }],
    ['clinc150-bert', 'onnx/model.onnx', { quantizedNodes: 0, floatNodes: 34, insertedCasts: 0 }],
    [
      'imagenet-mobilenetv1-050',
      'model_qdq.onnx',
      { quantizedNodes: 29, floatNodes: 0, fusedOps: { QLinearConv: 28, QLinearAveragePool: 1 } },
    ],
    ['silero-vad', 'model.onnx', { quantizedNodes: 0, floatNodes: 16 }],
    ['wine-gbdt', 'model.onnx', { quantizedNodes: 0, floatNodes: 0, fusedOps: {} }],
  ])('%s %s', async (slug, file, expected) => {
    expect(await auditModel(sharedModel(slug, file))).toMatchObject({ ...expected, findings: [] });
  });
});
