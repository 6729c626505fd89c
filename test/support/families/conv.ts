import type { AttrInput } from '../../../src/ir/attr.ts';
import { float } from '../../../src/ir/attr.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { tensorFrom } from '../../../src/ir/tensor.ts';
import { Draft } from './draft.ts';

/** Convolutions of one to three dimensions with every way of padding, pools, transposed ones, resizing, and what they are added to. */
export function buildConvolutions(seed: number): Model {
  return new Convolutions(seed).build();
}

interface Kept {
  readonly value: Value;
  readonly channels: number;
  /** Counts changes of extents: values of the same one have the same extents. */
  readonly size: number;
}

class Convolutions extends Draft {
  readonly #rank: number;
  readonly #kept: Kept[] = [];
  #x: Value;
  #channels: number;
  #size = 0;
  /** No axis is shorter than this: ONNX Runtime 1.30 ends the process on an LpPool that leaves nothing. */
  #room = 10;

  constructor(seed: number) {
    super(seed, 'convolutions');
    this.opset = this.pick([17, 13, 11, 18, 19, 21, 22, 10, 9, 8, 7]);
    this.#rank = this.pick([1, 1, 2, 2, 3]);
    this.#channels = this.pick([1, 2, 3, 4, 8]);
    const batch = this.pick([1, 2, 'N'] as const);
    const extents = Array.from({ length: this.#rank }, (_, i) => (this.chance(0.9) ? this.int(10, 14) : `D${i}`));
    this.#x = this.input('x', [batch, this.#channels, ...extents]);
  }

  build(): Model {
    const kinds = [
      () => this.#conv(),
      () => this.#conv(),
      () => this.#same(),
      () => this.#same(),
      () => this.#transposed(),
      () => this.#pool(),
      () => this.#resize(),
      () => this.#pad(),
      () => this.#norm(),
      () => this.#skip(),
      () => this.#gate(),
      () => this.#affine(),
    ];
    for (let count = this.int(2, 7); count > 0; count--) {
      this.pick(kinds)();
      if (this.chance(0.5)) this.#x = this.chance(0.8) ? this.activation(this.#x) : this.#prelu();
      this.#kept.push({ value: this.#x, channels: this.#channels, size: this.#size });
    }
    if (this.chance(0.4)) this.#head();
    if (!this.#x.producer) this.#x = this.op('Relu', [this.#x]);
    this.output(this.#x);
    return this.model();
  }

  #all(make: () => number): number[] {
    return Array.from({ length: this.#rank }, make);
  }
  #moved(room: number): void {
    this.#size++;
    this.#room = room;
  }
  /** What windows leave at least, without a look at padding; not above 0 where they may leave nothing. */
  #left(kernel: readonly number[], strides: readonly number[] = [], dilations: readonly number[] = []): number {
    const left = kernel.map((extent, axis) => {
      const span = (extent - 1) * (dilations[axis] ?? 1) + 1;
      return Math.floor((this.#room - span) / (strides[axis] ?? 1)) + 1;
    });
    return Math.min(...left);
  }
  /** Weights of a convolution and perhaps a bias; sets the channels. */
  #weights(kernel: readonly number[], transposed: boolean, out: number, group: number): Value[] {
    const [inner, outer] = [this.#channels / group, out / group];
    const shape = transposed ? [this.#channels, outer, ...kernel] : [out, inner, ...kernel];
    const inputs = [this.spread(shape, inner * kernel.reduce((a, b) => a * b, 1))];
    if (this.chance(0.6)) inputs.push(this.weight([out], 0.3));
    this.#channels = out;
    return inputs;
  }
  #groups(): { group: number; out: number } {
    const channels = this.#channels;
    const group = this.chance(0.3) ? channels : channels % 2 === 0 && this.chance(0.3) ? 2 : 1;
    return { group, out: group * this.int(1, group > 2 ? 2 : 4) };
  }
  #conv(): void {
    const kernel = this.#all(() => this.int(1, 3));
    const strides = this.chance(0.4) ? this.#all(() => this.int(1, 2)) : undefined;
    const dilations = this.chance(0.3) ? this.#all(() => this.int(1, 2)) : undefined;
    const left = this.#left(kernel, strides, dilations);
    if (left < 1) return;
    const { group, out } = this.#groups();
    const attrs: Record<string, AttrInput> = { group, ...(strides && { strides }), ...(dilations && { dilations }) };
    if (this.chance(0.8)) attrs['kernel_shape'] = kernel;
    if (this.chance(0.6)) attrs['pads'] = [...this.#all(() => this.int(0, 2)), ...this.#all(() => this.int(0, 2))];
    else if (this.chance(0.3)) attrs['auto_pad'] = 'VALID';
    this.#x = this.op('Conv', [this.#x, ...this.#weights(kernel, false, out, group)], attrs);
    this.#moved(left);
  }
  #same(): void {
    const { group, out } = this.#groups();
    const kernel = this.#all(() => this.int(1, 4));
    const stride = this.chance(0.3) ? 2 : 1;
    const attrs: Record<string, AttrInput> = { group, kernel_shape: kernel };
    attrs['auto_pad'] = this.pick(['SAME_UPPER', 'SAME_LOWER']);
    if (stride > 1 || this.chance(0.5)) attrs['strides'] = this.#all(() => stride);
    this.#x = this.op('Conv', [this.#x, ...this.#weights(kernel, false, out, group)], attrs);
    if (stride > 1) this.#moved(Math.ceil(this.#room / 2));
  }
  #transposed(): void {
    if (this.#room < 2) return;
    const { group, out } = this.#groups();
    const kernel = this.#all(() => this.int(2, 4));
    const strides = this.#all(() => this.int(1, 2));
    const attrs: Record<string, AttrInput> = { group, kernel_shape: kernel, strides };
    if (this.chance(0.3)) attrs['auto_pad'] = this.pick(['SAME_UPPER', 'SAME_LOWER']);
    else if (this.chance(0.5)) attrs['pads'] = [...this.#all(() => this.int(0, 1)), ...this.#all(() => this.int(0, 1))];
    if (this.chance(0.3)) attrs['output_padding'] = strides.map((stride) => stride - 1);
    this.#x = this.op('ConvTranspose', [this.#x, ...this.#weights(kernel, true, out, group)], attrs);
    this.#moved(this.#room - 1);
  }
  #pool(): void {
    const op = this.pick(['MaxPool', 'AveragePool', 'MaxPool', 'LpPool']);
    const kernel = this.#all(() => this.int(1, 3));
    const strides = this.chance(0.7) ? this.#all(() => this.int(1, 2)) : undefined;
    const dilated = op === 'MaxPool' && this.opset >= 10 && this.chance(0.2);
    const dilations = dilated ? this.#all(() => this.int(1, 2)) : undefined;
    const left = this.#left(kernel, strides, dilations);
    if (left < 1) return;
    const attrs: Record<string, AttrInput> = {
      kernel_shape: kernel,
      ...(strides && { strides }),
      ...(dilations && { dilations }),
    };
    if (this.chance(0.3)) attrs['auto_pad'] = this.pick(['SAME_UPPER', 'SAME_LOWER', 'VALID']);
    else if (this.chance(0.6)) {
      // As wide as the window lets them be: less than its extent.
      const pads = kernel.map((extent) => this.int(0, extent - 1));
      attrs['pads'] = [...pads, ...kernel.map((extent) => this.int(0, extent - 1))];
    }
    if (op !== 'LpPool' && this.opset >= 10 && this.chance(0.3)) attrs['ceil_mode'] = 1;
    if (op === 'AveragePool' && this.chance(0.4)) attrs['count_include_pad'] = 1;
    if (op === 'LpPool') attrs['p'] = this.int(1, 2);
    this.#x = this.op(op, [this.#x], attrs);
    this.#moved(left);
  }
  #resize(): void {
    if (this.#room < 2) return;
    const scales = [1, 1, ...this.#all(() => this.pick([2, 1, 2, 1.5, 0.5]))];
    const factor = this.constant('scales', tensorFrom('float32', [scales.length], Float32Array.from(scales)));
    const mode = this.pick(this.#rank === 2 ? ['nearest', 'linear', 'cubic'] : ['nearest', 'nearest', 'linear']);
    if (this.opset < 10) {
      const upper = scales.map((scale) => Math.max(1, scale));
      const up = mode === 'cubic' ? 'nearest' : mode;
      if (this.opset < 9)
        this.#x = this.op('Upsample', [this.#x], { mode: up, scales: { type: 'floats', value: upper } });
      else {
        const kept = this.constant('scales', tensorFrom('float32', [upper.length], Float32Array.from(upper)));
        this.#x = this.op('Upsample', [this.#x, kept], { mode: up });
      }
    } else if (this.opset < 11)
      this.#x = this.op('Resize', [this.#x, factor], { mode: mode === 'cubic' ? 'nearest' : mode });
    else {
      const attrs: Record<string, AttrInput> = { mode };
      const ways = ['half_pixel', 'asymmetric', 'align_corners', 'pytorch_half_pixel'];
      attrs['coordinate_transformation_mode'] = this.pick(ways);
      if (mode === 'nearest') attrs['nearest_mode'] = this.pick(['floor', 'round_prefer_floor', 'ceil']);
      const roi = this.constant('roi', tensorFrom('float32', [0], new Float32Array()));
      this.#x = this.op('Resize', [this.#x, this.opset >= 13 && this.chance(0.5) ? undefined : roi, factor], attrs);
    }
    this.#moved(Math.floor(this.#room / 2));
  }
  #pad(): void {
    const mode = this.pick(['constant', 'constant', 'reflect', 'edge']);
    const side = (): number[] => [0, 0, ...this.#all(() => this.int(0, 2))];
    const pads = [...side(), ...side()];
    if (this.opset < 11) this.#x = this.op('Pad', [this.#x], { mode, pads });
    else this.#x = this.op('Pad', [this.#x, this.numbers(...pads), this.number(this.pick([0, 0, 1]))], { mode });
    this.#moved(this.#room);
  }
  #norm(): void {
    const channels = this.#channels;
    const [scale, bias] = [this.weight([channels], 0.5, 1), this.weight([channels], 0.3)];
    if (this.chance(0.3)) this.#x = this.op('InstanceNormalization', [this.#x, scale, bias], { epsilon: float(0.01) });
    else {
      const rest = [this.weight([channels], 0.3), this.weight([channels], 0.4, 1)];
      this.#x = this.op('BatchNormalization', [this.#x, scale, bias, ...rest]);
    }
  }
  /** Added to, multiplied with or beside what was there before with the same extents. */
  #skip(): void {
    const same = this.#kept.filter(({ size }) => size === this.#size);
    const other = same.length > 0 ? this.pick(same) : undefined;
    if (!other) return;
    if (other.channels === this.#channels && this.chance(0.6)) {
      this.#x = this.op(this.pick(['Add', 'Mul', 'Sub', 'Max']), [other.value, this.#x]);
      return;
    }
    this.#x = this.op('Concat', [this.#x, other.value], { axis: 1 });
    this.#channels += other.channels;
  }
  #gate(): void {
    const x = this.#x;
    this.#x = this.op(this.chance(0.8) ? 'GlobalAveragePool' : 'GlobalMaxPool', [x]);
    const { out } = { out: this.#channels };
    const ones = this.#all(() => 1);
    this.#x = this.op('Conv', [this.#x, ...this.#weights(ones, false, out, 1)], { kernel_shape: ones });
    this.#x = this.op('Mul', [x, this.op('Sigmoid', [this.#x])]);
  }
  #affine(): void {
    const shape = [this.#channels, ...this.#all(() => 1)];
    this.#x = this.op(this.pick(['Mul', 'Add', 'Sub', 'Div']), [this.#x, this.weight(shape, 0.5, 1)]);
  }
  #prelu(): Value {
    return this.op('PRelu', [
      this.#x,
      this.weight(this.chance(0.5) ? [this.#channels, ...this.#all(() => 1)] : [1], 0.3),
    ]);
  }
  #head(): void {
    const pooled = this.op('GlobalAveragePool', [this.#x]);
    this.#x = this.linear(this.op('Flatten', [pooled]), this.#channels, 6);
  }
}
