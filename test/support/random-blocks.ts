import * as fc from 'fast-check';
import { type AttrInput, float } from '../../src/ir/attr.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { random } from './differential.ts';

/** One block of a made-up transformer, in one of the ways in which it may be written. */
interface Block {
  readonly kind: number;
  /** Which way of writing it. */
  readonly form: number;
  /** What is odd about it: 0 to 3 nothing. */
  readonly odd: number;
}

export interface BlockProgram {
  readonly opset: number;
  readonly batch: number | 'N';
  readonly seed: number;
  readonly blocks: readonly Block[];
  /** Numbers a token has, even; 8 where nothing is said. */
  readonly width?: number;
}

export const blockPrograms: fc.Arbitrary<BlockProgram> = fc.record({
  opset: fc.constantFrom(17, 13, 18, 20, 23, 14, 21),
  batch: fc.constantFrom<number | 'N'>(1, 2, 'N'),
  seed: fc.nat(1_000_000),
  blocks: fc.array(fc.record({ kind: fc.nat(99), form: fc.nat(999), odd: fc.nat(7) }), { minLength: 1, maxLength: 5 }),
});

const length = 3;

/** A network of norms, activations and residuals as exporters spell them out, and as nobody should. */
export function buildBlocks(program: BlockProgram): Model {
  return new BlockBuilder(program).build();
}

class BlockBuilder {
  readonly #program: BlockProgram;
  readonly #graph = new Graph('main');
  readonly #next: () => number;
  readonly #outputs: Value[] = [];
  readonly #width: number;
  #x: Value;
  #residual: Value;

  constructor(program: BlockProgram) {
    this.#program = program;
    this.#next = random(program.seed);
    this.#width = program.width ?? 8;
    this.#x = this.#graph.addInput('x', tensorType('float32', [program.batch, length, this.#width]));
    this.#residual = this.#x;
  }

  build(): Model {
    const kinds = [
      (block: Block) => this.#norm(block),
      (block: Block) => this.#erf(block),
      (block: Block) => this.#tanh(block),
      (block: Block) => this.#gate(block),
      (block: Block) => this.#hard(block),
      (block: Block) => this.#sum(block),
      (block: Block) => this.#product(block),
      (block: Block) => this.#attention(block),
      (block: Block) => this.#attention(block),
      (block: Block) => this.#merged(block),
    ];
    for (const block of this.#program.blocks) {
      const before = this.#x;
      this.#x = (kinds[block.kind % kinds.length] as (block: Block) => Value)(block);
      if (block.odd === 7 && before.producer) this.#outputs.push(before);
    }
    for (const value of new Set([...this.#outputs, this.#op('Identity', [this.#x])])) {
      value.type ??= tensorType('float32', [this.#program.batch, length, this.#width]);
      this.#graph.addOutput(value);
    }
    const { opset } = this.#program;
    return new Model(this.#graph, opset, opset >= 23 ? 11 : opset >= 20 ? 10 : 8);
  }

  #op(op: string, inputs: readonly (Value | undefined)[], attrs: Record<string, AttrInput> = {}): Value {
    return this.#graph.append(op, { inputs, attrs }).output();
  }
  /** Either order of a commutative operator. */
  #either(op: string, a: Value, b: Value, form: number): Value {
    return this.#op(op, form % 2 ? [a, b] : [b, a]);
  }
  #constant(name: string, tensor: Tensor): Value {
    return this.#graph.addInitializer(name, tensor);
  }
  #number(value: number, form = 0): Value {
    return this.#constant('k', tensorFrom('float32', form % 3 === 1 ? [1] : [], Float32Array.of(value)));
  }
  #weight(shape: readonly number[], low: number, high: number): Value {
    const data = Float32Array.from({ length: elementCount(shape) }, () => low + this.#next() * (high - low));
    return this.#constant('w', tensorFrom('float32', shape, data));
  }
  /** An inner value that is read by others too, once in a while. */
  #maybeShown(value: Value, odd: number): Value {
    if (odd === 6) this.#outputs.push(this.#either('Add', value, this.#x, 1));
    return value;
  }
  #mean(x: Value, axis: number): Value {
    if (this.#program.opset < 18) return this.#op('ReduceMean', [x], { axes: [axis] });
    return this.#op('ReduceMean', [x, this.#constant('axes', int64Vector([axis]))]);
  }

  #norm({ form, odd }: Block): Value {
    const x = this.#x;
    const axis = odd === 5 ? 1 : form % 2 ? -1 : 2;
    const isLayer = form % 3 !== 0;
    const center = (): Value => (isLayer ? this.#op('Sub', [x, this.#mean(x, axis)]) : x);
    const d = center();
    const square = form % 4 ? this.#op('Pow', [d, this.#number(2, form)]) : this.#op('Mul', [d, d]);
    const variance = this.#mean(square, odd === 4 ? 1 : axis);
    const sum = this.#either('Add', variance, this.#number(form % 5 ? 1e-5 : 1e-3, form), form >> 1);
    const again = form % 7 === 0 ? center() : d;
    let y: Value;
    if (form % 9 === 0) y = this.#either('Mul', again, this.#op('Pow', [sum, this.#number(-0.5)]), form);
    else {
      const root = this.#maybeShown(this.#op('Sqrt', [sum]), odd);
      if (form % 5 < 2) y = this.#op('Div', [again, root]);
      else if (form % 5 < 4) y = this.#either('Mul', again, this.#op('Reciprocal', [root]), form);
      else y = this.#either('Mul', again, this.#op('Div', [this.#number(1), root]), form);
    }
    if (form % 11 > 1)
      y = this.#either('Mul', y, this.#weight(form % 13 ? [this.#width] : [1, 1, this.#width], 0.5, 1.5), form >> 2);
    if (form % 6 > 2) y = this.#either('Add', y, this.#weight([this.#width], -1, 1), form >> 3);
    return y;
  }

  #erf({ form, odd }: Block): Value {
    const x = this.#x;
    const factor = odd === 4 ? 0.6 : Math.SQRT1_2;
    const argument =
      form % 2
        ? this.#op('Div', [x, this.#number(1 / factor, form)])
        : this.#either('Mul', x, this.#number(factor, form), form);
    return this.#halves(x, this.#maybeShown(this.#op('Erf', [argument]), odd), form);
  }
  /** ½·x·(1 + t) in one of its orders. */
  #halves(x: Value, t: Value, form: number): Value {
    const half = this.#number(0.5, form);
    const sum = this.#either('Add', t, this.#number(1), form >> 1);
    switch (form % 5) {
      case 0:
        return this.#either('Mul', this.#either('Mul', x, half, form), sum, form >> 2);
      case 1:
        return this.#either('Mul', this.#either('Mul', x, sum, form), half, form >> 2);
      case 2:
        return this.#either('Mul', x, this.#either('Mul', sum, half, form), form >> 2);
      case 3:
        return this.#op('Div', [this.#either('Mul', x, sum, form), this.#number(2)]);
      default:
        return this.#either('Mul', x, this.#op('Add', [this.#op('Mul', [t, half]), half]), form);
    }
  }
  #tanh({ form, odd }: Block): Value {
    const x = this.#x;
    if (form % 3 === 0) {
      const t = this.#maybeShown(this.#op('Tanh', [this.#op('Softplus', [x])]), odd);
      return this.#either('Mul', x, t, form);
    }
    const [c, k] = [this.#number(0.7978846), this.#number(odd === 4 ? 0.05 : 0.044715)];
    const cube = form % 2 ? this.#op('Pow', [x, this.#number(3)]) : this.#op('Mul', [x, this.#op('Mul', [x, x])]);
    const sum = this.#either('Add', x, this.#either('Mul', cube, k, form), form >> 1);
    return this.#halves(x, this.#maybeShown(this.#op('Tanh', [this.#either('Mul', sum, c, form)]), odd), form);
  }
  #gate({ form, odd }: Block): Value {
    const x = this.#x;
    const argument = form % 2 ? this.#either('Mul', x, this.#number(1.702), form >> 1) : x;
    const t = this.#maybeShown(this.#op('Sigmoid', [argument]), odd);
    return this.#either('Mul', odd === 5 ? this.#residual : x, t, form >> 2);
  }
  #hard({ form, odd }: Block): Value {
    const x = this.#x;
    if (form % 3 === 0) {
      const h = this.#op('HardSigmoid', [x], { alpha: float(odd === 4 ? 0.2 : Math.fround(1 / 6)) });
      return this.#either('Mul', x, h, form);
    }
    const sum = this.#either('Add', x, this.#number(3, form), form);
    const bounds = [this.#number(0), this.#number(odd === 4 ? 5 : 6)];
    const clip = this.#maybeShown(this.#op('Clip', [sum, ...bounds]), odd);
    const scaled = this.#op('Div', [clip, this.#number(6, form)]);
    if (form % 3 === 1) return scaled;
    return form % 4
      ? this.#either('Mul', x, scaled, form)
      : this.#op('Div', [this.#op('Mul', [x, clip]), this.#number(6)]);
  }
  #sum({ form }: Block): Value {
    const sum = this.#either('Add', this.#x, this.#residual, form);
    if (form % 3) this.#residual = sum;
    return sum;
  }
  #product({ form }: Block): Value {
    const product = this.#op('MatMul', [this.#x, this.#weight([this.#width, this.#width], -0.5, 0.5)]);
    return form % 3 ? this.#either('Add', product, this.#weight([this.#width], -1, 1), form) : product;
  }

  /** Self attention of two heads: with scales, masks, rotation and transposes wherever they may stand. */
  #attention({ form, odd }: Block): Value {
    const x = this.#x;
    const shape = (dims: readonly number[]): Value => this.#constant('shape', int64Vector(dims));
    const heads = (): Value => {
      const weight = this.#weight([this.#width, this.#width], -0.5, 0.5);
      let flat = this.#op('MatMul', [x, weight]);
      if (form % 2) flat = this.#either('Add', flat, this.#weight([this.#width], -1, 1), form >> 1);
      return this.#op('Reshape', [flat, shape([0, form % 3 ? length : 0, 2, this.#width / 2])]);
    };
    const byHeads = (): Value => this.#op('Transpose', [heads()], { perm: [0, 2, 1, 3] });
    const angles =
      form % 5 === 0 ? [this.#weight([1, 1, length, 2], -1, 1), this.#weight([1, 1, length, 2], -1, 1)] : [];
    const turned = (value: Value): Value =>
      angles.length > 0 ? this.#rotated(value, angles[0] as Value, angles[1] as Value, form) : value;
    const back = (out: Value): Value =>
      this.#op('Reshape', [
        this.#op('Transpose', [out], { perm: [0, 2, 1, 3] }),
        shape(form % 3 ? [0, 0, this.#width] : [-1, length, this.#width]),
      ]);
    if (this.#program.opset >= 23 && form % 4 === 0) {
      return back(
        this.#op('Attention', [turned(byHeads()), turned(byHeads()), byHeads()], { is_causal: form % 8 ? 1 : 0 }),
      );
    }
    let q = turned(byHeads());
    let k =
      form % 5 !== 0 && form % 3 === 0
        ? this.#op('Transpose', [heads()], { perm: [0, 2, 3, 1] })
        : this.#op('Transpose', [turned(byHeads())], { perm: odd === 4 ? [0, 1, 2, 3] : [0, 1, 3, 2] });
    if (odd === 4 && !(form % 5 !== 0 && form % 3 === 0)) k = this.#op('Transpose', [k], { perm: [0, 1, 3, 2] });
    if (form % 7 < 3) q = this.#either('Mul', q, this.#number(form % 7 === 0 ? 0.5 : 0.7, form), form);
    if (form % 7 === 1) k = this.#either('Mul', k, this.#number(0.7, form), form);
    let scores = this.#op('MatMul', [q, k]);
    if (form % 7 >= 3)
      scores =
        form % 2
          ? this.#op('Div', [scores, this.#number(2)])
          : this.#either('Mul', scores, this.#number(0.5), form >> 1);
    if (form % 11 === 4) scores = this.#capped(scores);
    const rows = [
      [1, 1, length, length],
      [1, 2, length, length],
      [1, 1, 1, length],
      [length, length],
    ][form % 4] as number[];
    if (form % 6 === 1) scores = this.#either('Add', scores, this.#weight(rows, -2, 2), form >> 2);
    const [zero, low] = [this.#number(0), this.#number(form % 2 ? Number.NEGATIVE_INFINITY : -3.4028234663852886e38)];
    const mask = (): Value =>
      this.#op('Greater', [this.#weight(rows, odd === 3 ? -4 : -1, odd === 3 ? 0 : 3), this.#number(0)]);
    if (form % 6 === 2) scores = this.#either('Add', scores, this.#op('Where', [mask(), zero, low]), form);
    if (form % 6 === 3) scores = this.#op('Where', [mask(), scores, this.#number(-3.4028234663852886e38)]);
    let p = this.#op('Softmax', [scores], { axis: odd === 5 ? 2 : -1 });
    // Without this guard a row that is masked wholly is not a number, and nothing is promised about those.
    if (form % 6 === 2 && form % 2) p = this.#op('Where', [this.#op('IsNaN', [p]), zero, p]);
    p = this.#maybeShownScores(p, odd);
    return back(this.#op('MatMul', [p, byHeads()]));
  }
  /** c · tanh(x / c) */
  #capped(scores: Value): Value {
    const cap = this.#number(1.5);
    return this.#op('Mul', [this.#op('Tanh', [this.#op('Div', [scores, cap])]), cap]);
  }

  /** Self attention whose batch and heads are one axis, as torch.bmm and nn.MultiheadAttention have it. */
  #merged({ form, odd }: Block): Value {
    const shape = (...dims: number[]): Value => this.#constant('shape', int64Vector(dims));
    const turned = (value: Value, ...perm: number[]): Value => this.#op('Transpose', [value], { perm });
    const lengthFirst = form % 2 === 1;
    const size = this.#width / 2;
    const x = lengthFirst ? turned(this.#x, 1, 0, 2) : this.#x;
    const linear = (columns: number): Value => {
      const product = this.#op('MatMul', [x, this.#weight([this.#width, columns], -0.5, 0.5)]);
      return form % 5 ? this.#either('Add', product, this.#weight([columns], -1, 1), form >> 1) : product;
    };
    const parts = (): Value[] => {
      const open = this.#op('Reshape', [linear(3 * this.#width), shape(0, 0, 3, this.#width)]);
      return [0, 1, 2].map((at) => {
        const index = this.#constant('index', tensorOf('int64', [], [at]));
        return this.#op('Gather', [open, index], { axis: 2 });
      });
    };
    const [q, k, v] = (form % 3 ? parts() : [linear(this.#width), linear(this.#width), linear(this.#width)]) as [
      Value,
      Value,
      Value,
    ];
    const merged = (flat: Value): Value =>
      lengthFirst
        ? turned(this.#op('Reshape', [flat, shape(length, -1, size)]), 1, 0, 2)
        : this.#op('Reshape', [
            turned(this.#op('Reshape', [flat, shape(0, 0, 2, size)]), 0, 2, 1, 3),
            shape(-1, length, size),
          ]);
    const query = this.#either('Mul', merged(q), this.#number(0.5, form), form);
    let scores = this.#op('MatMul', [query, turned(merged(odd === 4 ? v : k), 0, 2, 1)]);
    if (form % 7 === 0) scores = this.#capped(scores);
    const rows = [
      [1, length, length],
      [length, length],
      [1, 1, length],
    ][form % 3] as number[];
    if (form % 4 === 1) scores = this.#either('Add', scores, this.#weight(rows, -2, 2), form >> 2);
    if (form % 4 === 2) {
      const mask = this.#op('Greater', [this.#weight(rows, -1, 3), this.#number(0)]);
      scores = this.#op('Where', [mask, scores, this.#number(-3.4028234663852886e38)]);
    }
    if (form % 4 === 3) {
      const four = this.#op('Reshape', [scores, shape(-1, 2, length, length)]);
      const sum = this.#either('Add', four, this.#weight([1, 2, length, length], -2, 2), form >> 2);
      scores = this.#op('Reshape', [sum, shape(-1, length, length)]);
    }
    const p = this.#maybeShownScores(this.#op('Softmax', [scores], { axis: odd === 5 ? 1 : -1 }), odd);
    const out = this.#op('MatMul', [p, merged(v)]);
    if (lengthFirst)
      return turned(this.#op('Reshape', [turned(out, 1, 0, 2), shape(length, -1, this.#width)]), 1, 0, 2);
    const four = this.#op('Reshape', [out, shape(-1, 2, length, size)]);
    return this.#op('Reshape', [turned(four, 0, 2, 1, 3), shape(-1, length, this.#width)]);
  }
  #maybeShownScores(p: Value, odd: number): Value {
    if (odd !== 6) return p;
    const sum = this.#graph.append('ReduceSum', { inputs: [p], attrs: { keepdims: 0 } }).output();
    this.#outputs.push(this.#either('Add', sum, this.#x, 1));
    return p;
  }
  /** By halves, or interleaved. */
  #rotated(x: Value, cos: Value, sin: Value, form: number): Value {
    const bound = (number: number): Value => this.#constant('bound', int64Vector([number]));
    const slice = (start: number, end: number, step: number): Value =>
      this.#op('Slice', [x, bound(start), bound(end), bound(form % 2 ? -1 : 3), bound(step)]);
    const interleaved = form % 3 === 0;
    const [a, b] = interleaved ? [slice(0, 4, 2), slice(1, 4, 2)] : [slice(0, 2, 1), slice(2, 9, 1)];
    const first = this.#op('Sub', [this.#either('Mul', a, cos, form), this.#either('Mul', b, sin, form >> 1)]);
    const second = this.#either('Add', this.#either('Mul', b, cos, form), this.#either('Mul', a, sin, form), form >> 2);
    if (!interleaved) return this.#op('Concat', [first, second], { axis: -1 });
    const open = (value: Value): Value => this.#op('Unsqueeze', [value, bound(4)]);
    const pairs = this.#op('Concat', [open(first), open(second)], { axis: -1 });
    return this.#op('Reshape', [pairs, this.#constant('shape', int64Vector([0, 2, length, 4]))]);
  }
}
