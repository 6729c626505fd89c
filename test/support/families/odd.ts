import { graph as graphAttr } from '../../../src/ir/attr.ts';
import { Graph, type Model, type Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { Draft } from './draft.ts';

/**
 * Small networks with what exporters and people leave in files: inputs and constants that are outputs, values that go out twice over, extents of 0,
 * scalars, holes in lists of inputs, operators of domains that nobody knows, every opset from 7 on.
 */
export function buildOdd(seed: number): Model {
  return new Odd(seed).build();
}

class Odd extends Draft {
  #x: Value;
  #width: number;
  readonly #batch: number | 'N';

  constructor(seed: number) {
    super(seed, 'odd');
    this.opset = this.pick([7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
    this.#batch = this.pick([0, 1, 2, 'N', 'N'] as const);
    this.#width = this.pick([1, 2, 4, 8]);
    this.#x = this.input('x', [this.#batch, this.#width]);
  }

  build(): Model {
    const x = this.#x;
    if (this.chance(0.2)) this.graph.addOutput(x);
    if (this.chance(0.2)) this.input('unused', [2]);
    const kinds = [
      () => this.#dense(),
      () => this.#dense(),
      () => this.#gemm(),
      () => this.#constantOutput(),
      () => this.#twice(),
      () => this.#scalar(),
      () => this.#empty(),
      () => this.#holes(),
      () => this.#unknown(),
      () => this.#folded(),
      () => this.#doubles(),
      () => this.#captured(),
      () => this.#norm(),
    ];
    for (let count = this.int(1, 6); count > 0; count--) this.pick(kinds)();
    if (this.#x.producer && !this.#x.isGraphOutput) this.output(this.#x, this.#type());
    if (this.graph.outputs.length === 0) this.output(this.op('Relu', [x]), this.#type());
    const model = this.model();
    return this.chance(0.2) ? this.#withInputs(model) : model;
  }

  #type() {
    return tensorType('float32', [this.#batch, this.#width]);
  }
  #dense(): void {
    const out = this.pick([1, 2, 4, 8]);
    this.#x = this.activation(this.linear(this.#x, this.#width, out));
    this.#width = out;
  }
  #gemm(): void {
    const out = this.pick([1, 3, 8]);
    const transB = this.int(0, 1);
    const w = this.spread(transB ? [out, this.#width] : [this.#width, out], this.#width);
    const shape = this.pick([[out], [1, out], [], [1]]);
    const inputs = [this.#x, w, this.weight(shape, 0.3)];
    this.#x = this.op('Gemm', inputs, { transB, ...(this.chance(0.3) && { alpha: { type: 'float', value: 0.5 } }) });
    this.#width = out;
  }
  /** A constant that goes out, as it is and perhaps as an operand too. */
  #constantOutput(): void {
    const constant = this.weight([this.#width], 1);
    if (this.chance(0.7)) this.#x = this.op(this.pick(['Add', 'Mul']), [this.#x, constant]);
    if (this.opset >= 8 && this.chance(0.8)) this.graph.addOutput(constant);
  }
  /** Two names of one value go out, and it is used further. */
  #twice(): void {
    const y = this.op('Identity', [this.#x]);
    if (this.chance(0.5)) this.output(y, this.#type());
    const again = this.op('Identity', [this.#x]);
    if (this.chance(0.5)) this.output(again, this.#type());
    this.#x = this.op('Add', [y, again]);
  }
  #scalar(): void {
    const sum = this.reduce('ReduceSum', this.reduce('ReduceSum', this.#x, 1, false), 0, false);
    if (this.chance(0.5)) this.output(sum, tensorType('float32', []));
    this.#x = this.op('Sub', [this.#x, this.op('Mul', [sum, this.number(0.01)])]);
  }
  /** Beside nothing: a constant of no elements. */
  #empty(): void {
    const nothing = this.constant('nothing', tensorFrom('float32', [0, this.#width], new Float32Array()));
    const joined = this.op('Concat', [this.#x, nothing], { axis: 0 });
    this.#x = joined;
  }
  #holes(): void {
    if (this.opset < 11) return;
    this.#x = this.op('Clip', [this.#x, undefined, this.number(2)]);
  }
  /** Of a domain that no runtime knows, beside the rest or in the middle of it. */
  #unknown(): void {
    if (this.chance(0.6)) return;
    const y = this.op(
      'Mystery',
      [this.#x, this.weight([3])],
      { strength: 3 },
      { domain: 'com.acme', types: [this.#type()] },
    );
    if (this.chance(0.5)) this.output(y, this.#type());
    else this.#x = y;
  }
  /** A chain over constants alone. */
  #folded(): void {
    const sum = this.op('Add', [this.weight([this.#width]), this.number(1)]);
    this.#x = this.op('Add', [this.#x, this.op('Mul', [sum, this.weight([1], 0.5)])]);
  }
  /** There and back to another type. */
  #doubles(): void {
    const type = this.pick([11, 10, 1]);
    const there = this.op('Cast', [this.#x], { to: type });
    const active = type === 1 ? this.op('Relu', [there]) : there;
    this.#x = this.op('Cast', [active], { to: 1 });
  }
  /** A branch that hands an outer value or a constant out as it is. */
  #captured(): void {
    if (this.opset < 11) return;
    const x = this.#x;
    const flag = this.chance(0.5)
      ? this.constant('flag', tensorOf('bool', [], [this.int(0, 1)]))
      : this.op('Greater', [this.reduce('ReduceSum', this.reduce('ReduceSum', x, 1, false), 0, false), this.number(0)]);
    const branch = (name: string): Graph => {
      const body = new Graph(name);
      const y = this.op(this.pick(['Identity', 'Relu', 'Neg']), [x], {}, { graph: body, types: [this.#type()] });
      body.addOutput(y);
      return body;
    };
    this.#x = this.op('If', [flag], { then_branch: graphAttr(branch('a')), else_branch: graphAttr(branch('b')) });
  }
  #norm(): void {
    const width = this.#width;
    const parameters = [
      this.weight([width], 0.5, 1),
      this.weight([width]),
      this.weight([width]),
      this.weight([width], 0.3, 1),
    ];
    this.#x = this.op('BatchNormalization', [this.#x, ...parameters]);
  }
  /** Constants are inputs too, as files of IR version 3 have to say, and newer ones may: a default that callers can replace. */
  #withInputs(model: Model): Model {
    model.irVersion = this.opset <= 8 && this.chance(0.5) ? 3 : model.irVersion;
    for (const value of [...model.graph.initializers]) {
      if (model.irVersion === 3 || this.chance(0.5)) listAsInput(model.graph, value);
    }
    return model;
  }
}

/** The same constant, of the same name and readers, as an input with a default. */
function listAsInput(graph: Graph, value: Value): void {
  const { name, tensor } = value;
  if (!tensor || value.isGraphOutput) return;
  value.name = graph.freshName('listed');
  const input = graph.addInput(name, value.type);
  graph.attachInitializer(input, tensor);
  graph.replaceUses(value, input);
  graph.removeInitializer(value);
}
