import * as fc from 'fast-check';
import { type AttrInput, float } from '../../src/ir/attr.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { elementCount, int64Vector, type Tensor, tensorFrom } from '../../src/ir/tensor.ts';
import { type Dim, tensorType } from '../../src/ir/types.ts';
import { random } from './differential.ts';

interface Block {
  readonly kind: number;
  /** What is odd about it. */
  readonly form: number;
  readonly channels: number;
}

export interface MobileProgram {
  readonly opset: number;
  readonly batch: number | 'N';
  /** Rows and columns of the picture; symbolic where not said. */
  readonly extent: number;
  readonly open: boolean;
  readonly seed: number;
  readonly blocks: readonly Block[];
}

/** Networks of convolutions as phones run them, of channels that come out even and that do not. */
export const mobilePrograms: fc.Arbitrary<MobileProgram> = fc.record({
  opset: fc.constantFrom(17, 13, 12, 18, 21, 11),
  batch: fc.constantFrom<number | 'N'>(1, 'N', 2),
  extent: fc.constantFrom(16, 24, 33, 40),
  open: fc.boolean(),
  seed: fc.nat(1_000_000),
  blocks: fc.array(fc.record({ kind: fc.nat(99), form: fc.nat(999), channels: fc.nat(999) }), {
    minLength: 1,
    maxLength: 6,
  }),
});

export function buildMobile(program: MobileProgram): Model {
  return new MobileBuilder(program).build();
}

const widths = [16, 12, 24, 20, 32, 8, 6, 40, 18];
const pick = <T>(list: readonly T[], index: number): T => list[index % list.length] as T;

class MobileBuilder {
  readonly #program: MobileProgram;
  readonly #graph = new Graph('mobile');
  readonly #next: () => number;
  #x: Value;
  #channels = 3;
  /** Rows and columns, where the picture's are known. */
  #extent: number;

  constructor(program: MobileProgram) {
    this.#program = program;
    this.#next = random(program.seed);
    this.#extent = program.extent;
    const extent: Dim = program.open ? 'H' : program.extent;
    this.#x = this.#graph.addInput('image', tensorType('float32', [program.batch, 3, extent, extent]));
  }

  build(): Model {
    const { blocks, opset, seed } = this.#program;
    this.#conv(pick(widths, seed), 3, { stride: 2 });
    this.#x = this.#activation(this.#x, seed);
    const kinds = [
      (block: Block) => this.#inverted(block),
      (block: Block) => this.#inverted(block),
      (block: Block) => this.#separable(block),
      (block: Block) => this.#pool(block),
      (block: Block) => this.#residual(block),
      (block: Block) => this.#squeeze(block),
      (block: Block) => this.#shuffle(block),
      (block: Block) => this.#branches(block),
      (block: Block) => this.#heads(block),
    ];
    for (const block of blocks) pick(kinds, block.kind)(block);
    this.#head(seed);
    const y = this.#x;
    y.type ??= tensorType('float32', undefined);
    this.#graph.addOutput(y);
    return new Model(this.#graph, opset, opset >= 21 ? 10 : 8);
  }

  #op(op: string, inputs: readonly (Value | undefined)[], attrs: Record<string, AttrInput> = {}): Value {
    return this.#graph.append(op, { inputs, attrs }).output();
  }
  #constant(name: string, tensor: Tensor): Value {
    return this.#graph.addInitializer(name, tensor);
  }
  #weight(shape: readonly number[], size: number, offset = 0): Value {
    const data = Float32Array.from({ length: elementCount(shape) }, () => (this.#next() * 2 - 1) * size + offset);
    return this.#constant('w', tensorFrom('float32', shape, data));
  }
  #numbers(...numbers: number[]): Value {
    return this.#constant('k', int64Vector(numbers));
  }

  #conv(out: number, kernel: number, { stride = 1, group = 1, bias = true } = {}): void {
    const inner = this.#channels / group;
    const pad = (kernel - 1) >> 1;
    const inputs = [this.#x, this.#weight([out, inner, kernel, kernel], Math.sqrt(3 / (inner * kernel * kernel)))];
    if (bias) inputs.push(this.#weight([out], 0.3));
    this.#x = this.#op('Conv', inputs, {
      group,
      kernel_shape: [kernel, kernel],
      pads: [pad, pad, pad, pad],
      strides: [stride, stride],
    });
    this.#channels = out;
    this.#extent = Math.ceil(this.#extent / stride);
  }
  #activation(x: Value, form: number): Value {
    switch (form % 7) {
      case 0:
      case 1:
        return this.#op('Relu', [x]);
      case 2:
        if (form % 2) return this.#op('Min', [this.#op('Max', [x, this.#weight([], 0)]), this.#weight([], 0, 6)]);
        return this.#op('Clip', [x, this.#weight([], 0), this.#weight([], 0, 6)]);
      case 3:
        return this.#op('LeakyRelu', [x], { alpha: float(0.1) });
      case 4: {
        const gate = this.#op('HardSigmoid', [x], { alpha: float(1 / 6), beta: float(0.5) });
        return this.#op('Mul', [x, gate]);
      }
      case 5:
        return this.#op('Mul', [x, this.#op('Sigmoid', [x])]);
      default:
        return x;
    }
  }

  /** 1×1 → depthwise → 1×1, with what it was added to where shapes allow. */
  #inverted({ form, channels }: Block): void {
    const [x, before] = [this.#x, this.#channels];
    const inner = pick(widths, channels);
    this.#conv(inner, 1);
    this.#x = this.#activation(this.#x, form);
    const stride = form % 5 === 4 ? 2 : 1;
    this.#conv(inner, form % 3 === 2 ? 5 : 3, { stride, group: inner, bias: form % 4 > 0 });
    this.#x = this.#activation(this.#x, form >> 1);
    if (form % 6 === 5) this.#gate();
    const out = form % 2 ? before : pick(widths, channels >> 3);
    this.#conv(out, 1);
    if (stride === 1 && out === before) this.#x = this.#op('Add', form % 8 > 3 ? [this.#x, x] : [x, this.#x]);
  }
  #separable({ form, channels }: Block): void {
    const before = this.#channels;
    this.#conv(before, 3, { group: before, bias: form % 2 > 0 });
    this.#x = this.#activation(this.#x, form);
    this.#conv(pick(widths, channels), 1);
    this.#x = this.#activation(this.#x, form >> 2);
  }
  #pool({ form }: Block): void {
    const attrs = { kernel_shape: [3, 3], strides: [1 + (form % 2), 1 + (form % 2)], pads: [1, 1, 1, 1] };
    this.#x = this.#op(form % 3 ? 'MaxPool' : 'AveragePool', [this.#x], attrs);
    this.#extent = Math.ceil(this.#extent / (1 + (form % 2)));
  }
  #residual({ form }: Block): void {
    const x = this.#x;
    this.#conv(this.#channels, form % 2 ? 3 : 1);
    this.#x = this.#op(form % 5 === 4 ? 'Mul' : 'Add', [x, this.#activation(this.#x, form >> 1)]);
  }
  /** Squeeze and excitation: a factor for each channel. */
  #gate(): void {
    const [x, channels] = [this.#x, this.#channels];
    this.#x = this.#op('GlobalAveragePool', [x]);
    this.#conv(8, 1);
    this.#x = this.#op('Relu', [this.#x]);
    this.#conv(channels, 1);
    this.#x = this.#op('Mul', [x, this.#op('Sigmoid', [this.#x])]);
  }
  #squeeze({ form, channels }: Block): void {
    if (form % 2) this.#conv(pick(widths, channels), 1);
    this.#gate();
  }
  /** The channels of ShuffleNet, in two groups, and every second one or all. */
  #shuffle({ form }: Block): void {
    const channels = this.#channels;
    if (channels % 2 || this.#program.open) return;
    const half = channels / 2;
    if (form % 4 === 3) {
      const pairs = this.#op('Reshape', [this.#x, this.#numbers(0, half, 2, this.#extent, this.#extent)]);
      const which = this.#constant('which', tensorFrom('int64', [], BigInt64Array.of(BigInt((form >> 2) & 1))));
      this.#x = this.#op('Gather', [pairs, which], { axis: 2 });
      this.#channels = half;
      return;
    }
    const extents = [0, 2, half, -1];
    const apart = this.#op('Reshape', [this.#x, this.#numbers(...extents)]);
    const turned = this.#op('Transpose', [apart], { perm: [0, 2, 1, 3] });
    // Extents come back by the shape of what was shuffled.
    const shape = this.#op('Shape', [this.#x]);
    const shuffled = this.#op('Reshape', [turned, shape]);
    if (form % 2 || this.#program.opset < 13) {
      this.#x = shuffled;
      return;
    }
    const [left, right] = this.#graph.append('Split', {
      inputs: [shuffled, this.#numbers(half, half)],
      attrs: { axis: 1 },
      outputs: ['', ''],
    }).outputs as [Value, Value];
    this.#x = right;
    this.#channels = half;
    this.#conv(half, 3, { group: half });
    this.#x = this.#op('Concat', [left, this.#activation(this.#x, form >> 1)], { axis: 1 });
    this.#channels = channels;
  }
  #branches({ form, channels }: Block): void {
    const [x, before] = [this.#x, this.#channels];
    const out = pick(widths, channels);
    this.#conv(out, 1);
    const left = this.#activation(this.#x, form);
    this.#x = x;
    this.#channels = before;
    this.#conv(out, 3);
    const right = this.#activation(this.#x, form >> 1);
    this.#x = form % 3 ? this.#op('Concat', [left, right], { axis: 1 }) : this.#op('Add', [left, right]);
    this.#channels = form % 3 ? 2 * out : out;
  }
  /** A detector's: two to four convolutions with few filters of what all of them read, and depthwise ones behind them, each with its own or all alike. */
  #heads({ form, channels }: Block): void {
    const [x, before, extent] = [this.#x, this.#channels, this.#extent];
    const outs = Array.from({ length: 2 + (form % 3) }, (_, at) => 1 + ((channels + 3 * at) % 11));
    const heads = outs.map((out, at) => {
      [this.#x, this.#channels, this.#extent] = [x, before, extent];
      this.#conv(out, 1, { bias: form % 4 > 0 || at > 0 });
      if (form % 5 > 2) this.#x = this.#activation(this.#x, form % 7 === 2 ? at : form >> 2);
      if (form % 2) this.#conv(out, form % 8 === 5 && at === 1 ? 5 : 3, { group: out });
      return this.#activation(this.#x, form % 10 === 6 ? at : form);
    });
    this.#x = this.#op('Concat', heads, { axis: 1 });
    this.#channels = outs.reduce((sum, out) => sum + out, 0);
  }
  #head(form: number): void {
    const classes = 5 + (form % 8);
    if (form % 3 === 0) {
      this.#conv(classes, 1);
      if (form % 2) this.#x = this.#op('Softmax', [this.#x], { axis: 1 });
      return;
    }
    this.#x = this.#op('GlobalAveragePool', [this.#x]);
    this.#x = this.#op('Flatten', [this.#x]);
    const inputs = [this.#x, this.#weight([this.#channels, classes], 0.4), this.#weight([classes], 0.2)];
    this.#x = this.#op('Gemm', inputs);
    if (form % 2) this.#x = this.#op('Softmax', [this.#x], { axis: 1 });
  }
}
