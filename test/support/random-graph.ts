import * as fc from 'fast-check';
import { type AttrInput, float, graph as graphAttr } from '../../src/ir/attr.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFrom, tensorOf } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { random } from './differential.ts';

/** One step of a made-up network; what the numbers choose depends on where it stands. */
interface Choice {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export interface Program {
  readonly family: 'cnn' | 'mlp';
  readonly opset: number;
  readonly batch: number | 'N';
  readonly seed: number;
  /** Whether inner values carry their types. */
  readonly typed: boolean;
  readonly choices: readonly Choice[];
  /** Dense layers are so many times as wide; 1 where nothing is said. */
  readonly scale?: number;
}

const choice = fc.record({ kind: fc.nat(999), a: fc.nat(999), b: fc.nat(999), c: fc.nat(999) });

/** Programs of well-typed networks; fewer steps and smaller numbers when fast-check shrinks. */
export const programs: fc.Arbitrary<Program> = fc.record({
  family: fc.constantFrom<'cnn' | 'mlp'>('cnn', 'mlp'),
  opset: fc.constantFrom(17, 13, 9, 11, 15, 18, 21, 8, 10),
  batch: fc.constantFrom<number | 'N'>(1, 2, 'N'),
  seed: fc.nat(1_000_000),
  typed: fc.boolean(),
  choices: fc.array(choice, { minLength: 1, maxLength: 12 }),
});

interface Item {
  readonly value: Value;
  /** Batch aside. */
  readonly shape: readonly number[];
}

/** Builds the network of a program: every choice is valid for where it stands, so the model runs. */
export function buildProgram(program: Program): Model {
  return new Builder(program).build();
}

/** What exporters write for −∞. */
const lowest = -3.4028234663852886e38;

type Step = (choice: Choice) => Item | undefined;

class Builder {
  readonly #program: Program;
  readonly #graph = new Graph('main');
  readonly #next: () => number;
  readonly #items: Item[] = [];
  readonly #outputs = new Set<Value>();
  readonly #scale: number;
  #current: Item;

  constructor(program: Program) {
    this.#program = program;
    this.#next = random(program.seed);
    this.#scale = program.scale ?? 1;
    const dim = 3 + (program.seed % 3);
    const shape =
      program.family === 'cnn'
        ? [2 + (program.seed % 3), dim, dim + 1]
        : program.seed % 3
          ? [4 * this.#scale]
          : [4, 4 * this.#scale];
    this.#current = { value: this.#graph.addInput('x', this.#type(shape)), shape };
    this.#items.push(this.#current);
  }

  build(): Model {
    const { family, choices, opset } = this.#program;
    const steps = family === 'cnn' ? [...this.#cnn(), ...this.#common()] : [...this.#mlp(), ...this.#common()];
    for (const one of choices) {
      const item = (steps[one.kind % steps.length] as Step)(one);
      if (!item) continue;
      this.#current = item;
      this.#items.push(item);
    }
    if (!this.#current.value.producer) this.#current = this.#op('Identity', [this.#current.value], this.#current.shape);
    this.#outputs.add(this.#current.value);
    for (const value of this.#outputs) {
      value.type ??= this.#type(this.#items.find((item) => item.value === value)?.shape ?? this.#current.shape);
      this.#graph.addOutput(value);
    }
    return new Model(this.#graph, opset, opset >= 15 ? 8 : opset >= 11 ? 6 : 5);
  }

  #type(shape: readonly number[]) {
    return tensorType('float32', [this.#program.batch, ...shape]);
  }
  #op(
    op: string,
    inputs: readonly (Value | undefined)[],
    shape: readonly number[],
    attrs: Record<string, AttrInput> = {},
  ): Item {
    const types = this.#program.typed ? [this.#type(shape)] : [];
    return { value: this.#graph.append(op, { inputs, attrs, types }).output(), shape };
  }
  #constant(name: string, tensor: Tensor): Value {
    return this.#graph.addInitializer(name, tensor);
  }
  /** Seeded numbers between low and high. */
  #weight(name: string, shape: readonly number[], low = -1, high = 1): Value {
    const data = Float32Array.from({ length: elementCount(shape) }, () => low + this.#next() * (high - low));
    const constant = this.#constant(name, tensorFrom('float32', shape, data));
    // As torch.onnx writes parameters that are equal.
    return this.#program.seed % 5 === 0 ? this.#graph.append('Identity', { inputs: [constant] }).output() : constant;
  }
  #spread(name: string, shape: readonly number[], fanIn: number): Value {
    return this.#weight(name, shape, -1 / Math.sqrt(fanIn), 1.5 / Math.sqrt(fanIn));
  }

  #cnn(): Step[] {
    const spatial = (): readonly [number, number, number] => this.#current.shape as unknown as [number, number, number];
    const pick = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;
    const conv: Step = ({ a, b, c }) => {
      const [channels, height, width] = spatial();
      const group = b % 3 === 0 && channels % 2 === 0 ? 2 : 1;
      const out = group * (1 + (a % 3));
      const kernel = Math.min(pick([1, 3, 2], c), height, width);
      const pad = kernel === 3 && a % 2 ? 1 : 0;
      const inputs = [
        this.#current.value,
        this.#spread('w', [out, channels / group, kernel, kernel], (channels / group) * kernel ** 2),
      ];
      if (b % 2) inputs.push(this.#weight('b', [out]));
      const attrs = { group, ...(c % 2 ? { pads: [pad, pad, pad, pad] } : pad ? { pads: [pad, pad, pad, pad] } : {}) };
      return this.#op('Conv', inputs, [out, height + 2 * pad - kernel + 1, width + 2 * pad - kernel + 1], attrs);
    };
    const transposed: Step = ({ a, b, c }) => {
      const [channels, height, width] = spatial();
      if (height > 8 || width > 8) return undefined;
      const group = channels % 2 === 0 && a % 2 ? 2 : 1;
      const perGroup = 1 + (b % 2);
      const kernel = 1 + (c % 3);
      const inputs = [
        this.#current.value,
        this.#spread('w', [channels, perGroup, kernel, kernel], (channels / group) * kernel),
      ];
      if (b % 3) inputs.push(this.#weight('b', [perGroup * group]));
      return this.#op('ConvTranspose', inputs, [perGroup * group, height + kernel - 1, width + kernel - 1], { group });
    };
    const pad: Step = ({ a, b, c }) => {
      const [channels, height, width] = spatial();
      if (height > 8 || width > 8) return undefined;
      const value = pick([0, 0, 0, 1, lowest], b);
      if (value === lowest) {
        // One row in front: no window of the pool lies wholly in it, so that no such number goes on.
        return this.#pool('MaxPool', this.#pad([0, 0, 1, 0, 0, 0, 0, 0], value, [channels, height + 1, width]), 1);
      }
      const pads = [0, 0, a % 2, b % 2, 0, 0, c % 3, a % 3];
      const shape = [channels, height + (a % 2) + (c % 3), width + (b % 2) + (a % 3)];
      return this.#pad(pads, value, shape);
    };
    const pool: Step = ({ a, b, c }) => {
      const [, height, width] = spatial();
      if (height < 3 || width < 3) return undefined;
      return this.#pool(a % 2 ? 'MaxPool' : 'AveragePool', this.#current, b + c);
    };
    const pointwise: Step = ({ a, b }) => {
      const [channels, height, width] = spatial();
      const out = 1 + (a % 3);
      const inputs = [this.#current.value, this.#spread('w', [out, channels, 1, 1], channels)];
      if (b % 2) inputs.push(this.#weight('b', [out]));
      return this.#op('Conv', inputs, [out, height, width]);
    };
    return [
      conv,
      conv,
      conv,
      pointwise,
      transposed,
      pad,
      pool,
      ...this.#layouts(),
      ...this.#channelNorms(),
      ...this.#branches(),
      ...this.#focus(),
    ];
  }

  /** Convolutions of one value side by side, as networks that are to be re-parameterized have them. */
  #branches(): Step[] {
    const beside: Step = ({ a, b, c }) => {
      const { value, shape } = this.#current;
      const [channels = 1, ...space] = shape;
      const groups = channels % 2 === 0 ? 2 : 1;
      const out = a % 3 === 0 ? groups * (1 + (b % 2)) : channels;
      const conv = (extent: number, group: number): Item => {
        const inputs = [value, this.#spread('w', [out, channels / group, extent, extent], channels * extent)];
        if (b % 3) inputs.push(this.#weight('b', [out]));
        return this.#op('Conv', inputs, [out, ...space], { group, pads: [0, 1, 2, 3].map(() => (extent - 1) / 2) });
      };
      const left = conv(3, a % 2 ? groups : 1);
      const right = c % 2 && out === channels ? this.#batchNorm(b) : conv(1, c % 3 ? groups : 1);
      return this.#op(b % 4 === 3 ? 'Sub' : 'Add', [left.value, right.value], [out, ...space]);
    };
    return [beside];
  }

  #batchNorm(choice: number): Item {
    const { value, shape } = this.#current;
    const channels = shape[0] as number;
    const range = [
      [0.5, 2],
      [-1, 1],
      [-1, 1],
      [0.5, 2],
    ] as const;
    const parameters = range.map(([low, high]) => this.#weight('n', [channels], low, high));
    const norm = this.#op('BatchNormalization', [value, ...parameters], shape);
    if (choice % 2) return norm;
    return this.#op(choice % 3 ? 'Mul' : 'Sub', [norm.value, this.#weight('c', [channels, 1, 1], 0.5, 2)], shape);
  }

  /** Each channel for itself, spelled out; groups of channels as one operator. */
  #channelNorms(): Step[] {
    const mean = (value: Value): Item => {
      const shape = [this.#current.shape[0] as number, 1, 1];
      if (this.#program.opset < 18) return this.#op('ReduceMean', [value], shape, { axes: [2, 3] });
      return this.#op('ReduceMean', [value, this.#constant('axes', int64Vector([2, 3]))], shape);
    };
    const spelled: Step = ({ a, b }) => {
      const { value, shape } = this.#current;
      const channels = shape[0] as number;
      const centred = this.#op('Sub', [value, mean(value).value], shape);
      const squares = this.#op('Mul', [centred.value, centred.value], shape);
      const variance = mean(squares.value);
      const epsilon = this.#constant('eps', tensorFrom('float32', [], Float32Array.of(0.01)));
      const sum = this.#op('Add', [variance.value, epsilon], variance.shape);
      const root = this.#op('Sqrt', [sum.value], sum.shape);
      let item = this.#op('Div', [centred.value, root.value], shape);
      if (a % 3) item = this.#op('Mul', [item.value, this.#weight('g', [channels, 1, 1], 0.5, 2)], shape);
      if (b % 2) item = this.#op('Add', [this.#weight('b', [1, channels, 1, 1]), item.value], shape);
      return item;
    };
    const groups: Step = ({ a }) => {
      const { value, shape } = this.#current;
      const channels = shape[0] as number;
      if (this.#program.opset < 21) return undefined;
      const num_groups = a % 2 && channels % 2 === 0 ? 2 : 1;
      const parameters = [this.#weight('g', [channels], 0.5, 2), this.#weight('b', [channels])];
      return this.#op('GroupNormalization', [value, ...parameters], shape, { num_groups, epsilon: float(0.01) });
    };
    return [spelled, groups];
  }

  /** What exporters write around the order of axes of pictures. */
  #layouts(): Step[] {
    const shape = (): readonly number[] => this.#current.shape;
    const channelsLast: Step = ({ a, b, c }) => {
      const [channels = 1, height = 1, width = 1] = shape();
      const turned = [height, width, channels];
      const turn = (item: Item) => this.#op('Transpose', [item.value], turned, { perm: [0, 2, 3, 1] });
      const same = this.#items.filter((item) => item.shape.join() === shape().join());
      let item = turn(this.#current);
      if (a % 2) item = this.#op('Mul', [item.value, this.#weight('c', [channels], 0.5, 2)], turned);
      if (b % 2) item = this.#op('Add', [turn(same[b % same.length] as Item).value, item.value], turned);
      if (c % 3) item = this.#op(c % 3 === 1 ? 'Relu' : 'Sigmoid', [item.value], turned);
      return this.#op('Transpose', [item.value], shape(), { perm: [0, 3, 1, 2] });
    };
    const shuffle: Step = ({ a, b }) => {
      const [channels = 1, height = 1, width = 1] = shape();
      if (channels % 4 !== 0 || height * width > 64) return undefined;
      const out = channels / 4;
      const blocks = a % 2 ? [2, 2, out] : [out, 2, 2];
      const split = this.#constant('split', int64Vector([-1, ...blocks, height, width]));
      const perm = a % 2 ? [0, 3, 4, 1, 5, 2] : [0, 1, 4, 2, 5, 3];
      const first = this.#op('Reshape', [this.#current.value, split], [...blocks, height, width]);
      const turned = this.#op(
        'Transpose',
        [first.value],
        perm.slice(1).map((axis) => first.shape[axis - 1] as number),
        { perm },
      );
      const join = this.#constant('join', int64Vector([-1, out, 2 * height, 2 * width]));
      const joined = this.#op('Reshape', [turned.value, join], [out, 2 * height, 2 * width]);
      return b % 3 ? joined : this.#op('Relu', [joined.value], joined.shape);
    };
    const halves: Step = ({ a }) => {
      const [channels = 1, ...rest] = shape();
      if (channels < 2) return undefined;
      const at = 1 + (a % (channels - 1));
      const part = (start: number, end: number): Item => {
        const extent = [Math.min(end, channels) - start, ...rest];
        if (this.#program.opset < 10)
          return this.#op('Slice', [this.#current.value], extent, { axes: [1], starts: [start], ends: [end] });
        const bounds = [[start], [end], [1]].map((numbers) => this.#constant('bound', int64Vector(numbers)));
        return this.#op('Slice', [this.#current.value, ...bounds], extent);
      };
      const parts = [part(at, 2 ** 31 - 1), part(0, at)];
      return this.#op(
        'Concat',
        parts.map((item) => item.value),
        shape(),
        { axis: 1 },
      );
    };
    return [channelsLast, channelsLast, shuffle, halves];
  }

  /** Every second row and column, joined as channels in some order, and mostly a Conv behind. */
  #focus(): Step[] {
    const focus: Step = ({ a, b, c }) => {
      const [channels = 0, high = 0, wide = 0] = this.#current.shape;
      if (this.#program.opset < 10 || channels > 8) return undefined;
      const [height, width] = [high + (high % 2), wide + (wide % 2)];
      const padded = [0, 0, 0, 0, 0, 0, high % 2, wide % 2];
      const { value } = high % 2 || wide % 2 ? this.#pad(padded, 0, [channels, height, width]) : this.#current;
      const bounds = (...numbers: number[]): Value => this.#constant('bound', int64Vector(numbers));
      const order = [
        [0, 1, 2, 3],
        [0, 2, 1, 3],
        [3, 1, 0, 2],
        [0, 2, 1, b % 4],
      ][a % 4] as number[];
      const half = [height / 2, width / 2];
      const parts = order.map((block) => {
        const [row, column] = [block >> 1, block % 2];
        if (c % 2) {
          const inputs = [value, bounds(row, column), bounds(height, width), bounds(2, -1), bounds(2, 2)];
          return this.#op('Slice', inputs, [channels, ...half]).value;
        }
        const rows = [value, bounds(row), bounds(height), bounds(-2), bounds(2)];
        const tall = this.#op('Slice', rows, [channels, height / 2, width]).value;
        return this.#op('Slice', [tall, bounds(column), bounds(width), bounds(3), bounds(2)], [channels, ...half])
          .value;
      });
      const joined = this.#op('Concat', parts, [4 * channels, ...half], { axis: 1 });
      const group = b % 5 ? 1 : 2;
      const weight = this.#spread('w', [2, (4 * channels) / group, 1, 1], 4 * channels);
      return this.#op('Conv', [joined.value, weight], [2, ...half], { group });
    };
    return [focus];
  }

  #pad(pads: readonly number[], value: number, shape: readonly number[]): Item {
    const { opset } = this.#program;
    if (opset < 11) return this.#op('Pad', [this.#current.value], shape, { pads, value: float(value) });
    const inputs = [this.#current.value, this.#constant('pads', int64Vector(pads))];
    if (value !== 0) inputs.push(this.#constant('fill', tensorFrom('float32', [], Float32Array.of(value))));
    return this.#op('Pad', inputs, shape);
  }
  #pool(op: string, { value, shape }: Item, choice: number): Item {
    const [channels = 1, height = 1, width = 1] = shape;
    const kernel = Math.min(2 + (choice % 2), height, width);
    const pad = choice % 5 === 0 && kernel > 1 ? 1 : 0;
    const attrs = {
      kernel_shape: [kernel, kernel],
      ...(pad && { pads: [pad, pad, pad, pad] }),
      ...(op === 'AveragePool' && choice % 3 === 0 && { count_include_pad: 1 }),
    };
    return this.#op(op, [value], [channels, height + 2 * pad - kernel + 1, width + 2 * pad - kernel + 1], attrs);
  }

  #mlp(): Step[] {
    const width = (): number => this.#current.shape.at(-1) as number;
    const matmul: Step = ({ a }) => {
      const out = (2 + (a % 4)) * this.#scale;
      const shape = [...this.#current.shape.slice(0, -1), out];
      return this.#op('MatMul', [this.#current.value, this.#spread('w', [width(), out], width())], shape);
    };
    const gemm: Step = ({ a, b, c }) => {
      if (this.#current.shape.length !== 1) return matmul({ kind: 0, a, b, c });
      const out = (2 + (a % 4)) * this.#scale;
      const shape = b % 2 ? [out, width()] : [width(), out];
      const inputs = [this.#current.value, this.#spread('w', shape, width())];
      if (c % 2 || this.#program.opset < 11)
        inputs.push(this.#weight('b', [[out], [1, out], [], [1]][c % 4] as number[]));
      return this.#op('Gemm', inputs, [out], {
        transB: b % 2,
        alpha: float(1 - (a % 2) / 2),
        beta: float(1 + (c % 3) / 2),
      });
    };
    const turned: Step = ({ a, b, c }) => {
      if (this.#current.shape.length !== 1 || this.#program.batch === 'N') return matmul({ kind: 0, a, b, c });
      const out = (2 + (a % 4)) * this.#scale;
      const columns = this.#graph.append('Transpose', {
        inputs: [this.#current.value],
        attrs: { perm: [1, 0] },
        types: this.#program.typed ? [tensorType('float32', [width(), this.#program.batch])] : [],
      });
      const inputs = [columns.output(), this.#spread('w', [width(), out], width()), this.#weight('b', [out])];
      return this.#op('Gemm', inputs, [out], { transA: 1 });
    };
    const einsum: Step = ({ a, b, c }) => {
      if (this.#program.opset < 12) return matmul({ kind: 0, a, b, c });
      const out = (2 + (a % 4)) * this.#scale;
      const rows = this.#current.shape.length === 1 ? 'a' : 'ab';
      if (c % 3 === 0) {
        const [heads, size] = [2, 1 + (b % 3)];
        const leading = this.#current.shape.slice(0, -1);
        const split = this.#spread('w', [width(), heads, size], width());
        const inner = this.#op('Einsum', [this.#current.value, split], [...leading, heads, size], {
          equation: `${rows}k,khd->${rows}hd`,
        });
        return this.#op(
          'Einsum',
          [inner.value, this.#spread('w', [out, heads, size], heads * size)],
          [...leading, out],
          {
            equation: `${rows}hd,nhd->${rows}n`,
          },
        );
      }
      const weight = this.#spread('w', b % 2 ? [out, width()] : [width(), out], width());
      const equation = `${rows}k,${b % 2 ? 'nk' : 'kn'}->${rows}n`;
      return this.#op('Einsum', [this.#current.value, weight], [...this.#current.shape.slice(0, -1), out], {
        equation,
      });
    };
    const scaled: Step = ({ a }) => {
      const out = (2 + (a % 4)) * this.#scale;
      const shape = [...this.#current.shape.slice(0, -1), out];
      const product = this.#op('MatMul', [this.#current.value, this.#spread('w', [width(), out], width())], shape);
      const sum = this.#op('Add', [this.#weight('b', [out]), product.value], shape);
      return this.#op(a % 3 ? 'Mul' : 'Div', [sum.value, this.#weight('c', a % 2 ? [] : [out], 0.5, 2)], shape);
    };
    const rowsNormed: Step = ({ a, b, c }) => {
      const [tokens, ...rest] = this.#current.shape;
      if (rest.length !== 1) return matmul({ kind: 0, a, b, c });
      const out = (2 + (a % 4)) * this.#scale;
      const product = this.#op(
        'MatMul',
        [this.#current.value, this.#spread('w', [width(), out], width())],
        [tokens as number, out],
      );
      const rows = this.#graph.append('Flatten', { inputs: [product.value], attrs: { axis: 2 } });
      const range = [
        [0.5, 2],
        [-1, 1],
        [-1, 1],
        [0.5, 2],
      ] as const;
      const parameters = range.map(([low, high]) => this.#weight('n', [out], low, high));
      const normed = this.#graph.append('BatchNormalization', { inputs: [rows.output(), ...parameters] });
      const shape = this.#constant('shape', int64Vector([-1, tokens as number, out]));
      return this.#op('Reshape', [normed.output(), shape], product.shape);
    };
    // Of the input itself: rounding must not choose another row.
    const embedding: Step = ({ a, b, c }) => {
      const { value, shape } = this.#items[0] as Item;
      if (this.#program.opset < 17 || shape.length !== 2) return matmul({ kind: 0, a, b, c });
      const [rows = 1, size = 1] = shape;
      const ids = this.#graph.append('ArgMax', {
        inputs: [value],
        attrs: { axis: -1, keepdims: 0 },
        types: this.#program.typed ? [tensorType('int64', [this.#program.batch, rows])] : [],
      });
      const result = [rows, 3];
      const count = this.#constant(
        'count',
        tensorOf(
          'int64',
          [1, rows],
          Array.from({ length: rows }, (_, at) => at),
        ),
      );
      const words = this.#op('Gather', [this.#weight('words', [size, 3]), ids.output()], result);
      const places = this.#graph.append('Gather', { inputs: [this.#weight('places', [rows, 3]), count] });
      const sum = this.#op('Add', [words.value, places.output()], result);
      return this.#op('LayerNormalization', [sum.value, this.#weight('g', [3]), this.#weight('b', [3])], result, {
        epsilon: float(0.01),
      });
    };
    return [embedding, matmul, matmul, gemm, gemm, turned, einsum, scaled, rowsNormed];
  }

  #common(): Step[] {
    const norm: Step = ({ a }) => {
      const { value, shape } = this.#current;
      const channels = shape[0] as number;
      const [low, high] = a % 5 ? [0.2, 2] : [0.02, 0.1];
      const parameters = [
        this.#weight('scale', [channels]),
        this.#weight('shift', [channels]),
        this.#weight('mean', [channels]),
      ];
      return this.#op(
        'BatchNormalization',
        [value, ...parameters, this.#weight('variance', [channels], low, high)],
        shape,
      );
    };
    const binary: Step = ({ a, b, c }) => {
      const op = ['Add', 'Mul', 'Sub', 'Div', 'Add', 'Mul'][a % 6] as string;
      const { value, shape } = this.#current;
      const constant = this.#weight('c', this.#operandShape(b), 0.5, 2);
      const commutes = op === 'Add' || op === 'Mul';
      return this.#op(op, commutes && c % 2 ? [constant, value] : [value, constant], shape);
    };
    const residual: Step = ({ a, b }) => {
      const { value, shape } = this.#current;
      const same = this.#items.filter((item) => item.shape.join() === shape.join());
      return this.#op(b % 3 ? 'Add' : 'Mul', [value, (same[a % same.length] as Item).value], shape);
    };
    const unary: Step = ({ a }) => {
      const op = ['Relu', 'Relu', 'Sigmoid', 'Identity', 'Relu'][a % 5] as string;
      return this.#op(op, [this.#current.value], this.#current.shape);
    };
    const clip: Step = ({ a, b, c }) => {
      const low = [-1, 0, 0, -6, 0.5][a % 5] as number;
      const high = [6, 1, undefined, 3][b % 4];
      return c % 3 ? this.#clip(low, high) : this.#maxMin(low, high, c);
    };
    const branch: Step = ({ a }) => this.#items[a % this.#items.length];
    const output: Step = () => {
      if (this.#current.value.producer) this.#outputs.add(this.#current.value);
      return undefined;
    };
    return [norm, norm, norm, binary, binary, binary, residual, unary, clip, clip, branch, output, () => this.#if()];
  }

  /** A shape that broadcasts into the current one: scalar, per channel, over the last axis, everything. */
  #operandShape(choice: number): number[] {
    const { shape } = this.#current;
    const perChannel = [shape[0] as number, ...shape.slice(1).map(() => 1)];
    return [[], [1], perChannel, [1, ...perChannel], [shape.at(-1) as number], [1, ...shape]][choice % 6] as number[];
  }
  #clip(low: number, high: number | undefined): Item {
    const { value, shape } = this.#current;
    if (this.#program.opset < 11) {
      const attrs = { min: float(low), ...(high !== undefined && { max: float(high) }) };
      return this.#op('Clip', [value], shape, attrs);
    }
    const bound = (number: number) => this.#constant('bound', tensorFrom('float32', [], Float32Array.of(number)));
    return this.#op('Clip', high === undefined ? [value, bound(low)] : [value, bound(low), bound(high)], shape);
  }
  /** A Clip as exporters spell it. */
  #maxMin(low: number, high: number | undefined, choice: number): Item {
    const limit = ({ value, shape }: Item, op: string, bound: number): Item => {
      const constant = this.#constant(
        'bound',
        tensorFrom('float32', choice % 4 < 3 ? [] : [1], Float32Array.of(bound)),
      );
      return this.#op(op, choice % 2 ? [constant, value] : [value, constant], shape);
    };
    if (high === undefined) return limit(this.#current, 'Max', low);
    if (choice % 5 < 3) return limit(limit(this.#current, 'Max', low), 'Min', high);
    return limit(limit(this.#current, 'Min', high), 'Max', low);
  }
  /** A branch that captures the current value, with something to fuse inside. */
  #if(): Item {
    const { value, shape } = this.#current;
    const condition = this.#graph.inputs[1] ?? this.#graph.addInput('condition', tensorType('bool', []));
    const type = this.#type(shape);
    const branch = (name: string, ops: readonly string[]): Graph => {
      const graph = new Graph(name);
      let current = value;
      for (const op of ops) {
        const outputs = [this.#graph.freshName(`${name}_${op}`)];
        current = graph.append(op, { inputs: [current], outputs, types: [type] }).output();
      }
      graph.addOutput(current);
      return graph;
    };
    const attrs = {
      then_branch: graphAttr(branch('yes', ['Relu', 'Relu'])),
      else_branch: graphAttr(branch('no', ['Neg'])),
    };
    return this.#op('If', [condition], shape, attrs);
  }
}
