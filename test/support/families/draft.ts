import type { AttrInput } from '../../../src/ir/attr.ts';
import { Graph, Model, type Value } from '../../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { type Shape, tensorType, type ValueType } from '../../../src/ir/types.ts';
import { random } from '../differential.ts';

export interface OpInit {
  readonly domain?: string;
  readonly outputs?: number;
  readonly graph?: Graph;
  readonly types?: readonly (ValueType | undefined)[];
}

/** Highest opset that a file of this IR version may have, as ONNX's table of releases pairs them: the lowest version for an opset. */
const irOf = (opset: number): number =>
  opset >= 25
    ? 12
    : opset >= 23
      ? 11
      : opset >= 21
        ? 10
        : opset >= 19
          ? 9
          : opset >= 15
            ? 8
            : opset >= 12
              ? 7
              : opset >= 11
                ? 6
                : opset >= 10
                  ? 5
                  : 4;

/** What the families of random models write their graphs with: seeded choices, constants and nodes. */
export class Draft {
  readonly graph: Graph;
  readonly seed: number;
  readonly next: () => number;
  opset = 17;
  readonly domains = new Map<string, number>();

  constructor(seed: number, name: string) {
    this.seed = seed;
    this.next = random(seed);
    this.graph = new Graph(name);
  }

  /** A whole number from `low` to `high`, both among them. */
  int(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }
  chance(share: number): boolean {
    return this.next() < share;
  }

  input(name: string, shape: Shape, dtype: 'float32' | 'int64' | 'int32' | 'bool' = 'float32'): Value {
    return this.graph.addInput(name, tensorType(dtype, shape));
  }
  ops(op: string, inputs: readonly (Value | undefined)[], attrs: Record<string, AttrInput>, init: OpInit): Value[] {
    const { graph = this.graph, domain, outputs = 1, types } = init;
    if (domain) this.domains.set(domain, domain === 'ai.onnx.ml' ? 3 : 1);
    // Bodies are built apart from the graph around them: their names come from there all the same.
    const names = Array.from({ length: outputs }, () => this.graph.freshName(op.toLowerCase()));
    const node = graph.append(op, {
      inputs,
      attrs,
      outputs: names,
      ...(domain && { domain }),
      ...(types && { types }),
    });
    return node.outputs as Value[];
  }
  op(
    op: string,
    inputs: readonly (Value | undefined)[],
    attrs: Record<string, AttrInput> = {},
    init: OpInit = {},
  ): Value {
    return this.ops(op, inputs, attrs, init)[0] as Value;
  }
  constant(name: string, tensor: Tensor): Value {
    return this.graph.addInitializer(name, tensor);
  }
  weight(shape: readonly number[], size = 1, offset = 0): Value {
    const data = Float32Array.from({ length: elementCount(shape) }, () => (this.next() * 2 - 1) * size + offset);
    return this.constant('w', tensorFrom('float32', shape, data));
  }
  /** Uniform, of the size that keeps what comes out as large as what goes in. */
  spread(shape: readonly number[], fanIn: number): Value {
    return this.weight(shape, Math.sqrt(3 / fanIn));
  }
  numbers(...numbers: number[]): Value {
    return this.constant('k', int64Vector(numbers));
  }
  whole(number: number): Value {
    return this.constant('n', tensorOf('int64', [], [number]));
  }
  number(number: number): Value {
    return this.constant('c', tensorFrom('float32', [], Float32Array.of(number)));
  }
  /** x · W + b, W behind a Transpose now and then, the bias on either side or missing. */
  linear(x: Value, inner: number, outer: number, graph = this.graph): Value {
    const turned = this.chance(0.2);
    const w = this.spread(turned ? [outer, inner] : [inner, outer], inner);
    const right = turned ? this.op('Transpose', [w], { perm: [1, 0] }, { graph }) : w;
    const product = this.op('MatMul', [x, right], {}, { graph });
    if (this.chance(0.3)) return product;
    const bias = this.weight([outer], 0.3);
    return this.op('Add', this.chance(0.5) ? [product, bias] : [bias, product], {}, { graph });
  }
  activation(x: Value, graph = this.graph): Value {
    const kind = this.pick([
      'Relu',
      'Tanh',
      'Sigmoid',
      'LeakyRelu',
      'Elu',
      'Softplus',
      'none',
      'swish',
      'clip',
    ] as const);
    if (kind === 'none') return x;
    if (kind === 'swish') return this.op('Mul', [x, this.op('Sigmoid', [x], {}, { graph })], {}, { graph });
    if (kind !== 'clip') return this.op(kind, [x], {}, { graph });
    if (this.opset < 11) return this.op('Relu', [x], {}, { graph });
    return this.op('Clip', [x, this.number(0), this.number(6)], {}, { graph });
  }
  unsqueeze(x: Value, axis: number, graph = this.graph): Value {
    if (this.opset < 13) return this.op('Unsqueeze', [x], { axes: [axis] }, { graph });
    return this.op('Unsqueeze', [x, this.numbers(axis)], {}, { graph });
  }
  squeeze(x: Value, axis: number, graph = this.graph): Value {
    if (this.opset < 13) return this.op('Squeeze', [x], { axes: [axis] }, { graph });
    return this.op('Squeeze', [x, this.numbers(axis)], {}, { graph });
  }
  reduce(op: string, x: Value, axis: number, keepdims: boolean, graph = this.graph): Value {
    const since = op === 'ReduceSum' ? 13 : 18;
    const attrs = { keepdims: keepdims ? 1 : 0 };
    if (this.opset < since) return this.op(op, [x], { ...attrs, axes: [axis] }, { graph });
    return this.op(op, [x, this.numbers(axis)], attrs, { graph });
  }
  output(value: Value, type: ValueType = tensorType('float32')): void {
    value.type ??= type;
    this.graph.addOutput(value);
  }
  model(): Model {
    return new Model(this.graph, new Map([['', this.opset], ...this.domains]), irOf(this.opset));
  }
}
