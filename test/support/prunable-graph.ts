import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { elementCount, int64Vector, tensorFrom } from '../../src/ir/tensor.ts';
import { type Dim, tensorType } from '../../src/ir/types.ts';
import { random } from './differential.ts';

/** Made-up convolutional networks and transformers with everything that ties channels together; the same for the same seed. */
export function prunableGraph(seed: number): Model {
  const builder = new Builder(seed);
  return seed % 2 === 0 ? builder.cnn() : builder.transformer();
}

interface Item {
  readonly value: Value;
  readonly shape: readonly Dim[];
}

class Builder {
  readonly #graph = new Graph('main');
  readonly #next: () => number;
  readonly #batch: Dim;
  #count = 0;

  constructor(seed: number) {
    this.#next = random(seed * 7919 + 13);
    this.#batch = this.#chance(0.5) ? 'batch' : 2;
  }

  cnn(): Model {
    const size = 8;
    let x = this.#input([this.#batch, 3, size, size]);
    x = this.#unit(x, this.#pick([8, 12, 16]));
    const blocks = [
      this.#residual,
      this.#dense,
      this.#depthwise,
      this.#grouped,
      this.#squeeze,
      this.#shuffle,
      this.#splitJoin,
      this.#padded,
      this.#pixelShuffle,
      this.#up,
      this.#sliced,
      this.#widen,
      this.#groupNorm,
    ];
    for (let i = 0; i < 3 + this.#whole(4); i++) x = this.#pick(blocks).call(this, x);
    return this.#head(x);
  }

  transformer(): Model {
    const [length, size] = [5, 4];
    const heads = this.#pick([2, 4]);
    const width = heads * size;
    let x = this.#input([this.#batch, this.#chance(0.5) ? 'seq' : length, 6]);
    x = this.#linear(x, width);
    for (let i = 0; i < 1 + this.#whole(2); i++) {
      x = this.#add(x, this.#attention(this.#layerNorm(x), heads));
      x = this.#add(x, this.#chance(0.5) ? this.#mlp(this.#layerNorm(x)) : this.#gated(this.#layerNorm(x)));
    }
    if (this.#chance(0.3)) x = this.#lstm(x);
    const out = this.#linear(this.#linear(x, 10), 3);
    return this.#finish(out);
  }

  #unit(x: Item, channels: number, kernel = 3, group = 1): Item {
    return this.#relu(this.#norm(this.#conv(x, channels, kernel, group)));
  }
  #residual(x: Item): Item {
    const channels = x.shape[1] as number;
    const inner = this.#unit(x, this.#pick([6, 8, 10]), 1);
    return this.#relu(this.#add(x, this.#norm(this.#conv(inner, channels, 3))));
  }
  #dense(x: Item): Item {
    const grown = this.#unit(x, 4);
    const more = this.#unit(this.#concat([x, grown]), 4);
    return this.#unit(this.#concat([x, grown, more]), x.shape[1] as number, 1);
  }
  #depthwise(x: Item): Item {
    const channels = x.shape[1] as number;
    const wide = this.#unit(x, channels * 2, 1);
    const times = this.#chance(0.3) ? 2 : 1;
    return this.#conv(this.#unit(wide, channels * 2 * times, 3, channels * 2), channels, 1);
  }
  #grouped(x: Item): Item {
    const group = this.#pick([2, 4]);
    const wide = this.#unit(x, 16, 1);
    return this.#unit(this.#unit(wide, this.#pick([16, 8]), 3, group), x.shape[1] as number, 1);
  }
  #squeeze(x: Item): Item {
    const channels = x.shape[1] as number;
    const inner = this.#unit(x, channels, 3);
    const pooled = this.#op('GlobalAveragePool', [inner.value], [this.#batch, channels, 1, 1]);
    const low = this.#relu(this.#conv(pooled, 4, 1));
    const gate = this.#op('Sigmoid', [this.#conv(low, channels, 1).value], [this.#batch, channels, 1, 1]);
    return this.#op('Mul', [inner.value, gate.value], inner.shape);
  }
  /** Two branches and a channel shuffle: [2, c] turned to [c, 2]. */
  #shuffle(x: Item): Item {
    const [n, , h, w] = x.shape;
    const half = 6;
    const joined = this.#concat([this.#unit(x, half, 1), this.#unit(x, half, 3)]);
    const split = this.#reshape(joined, [n, 2, half, h, w]);
    const turned = this.#transpose(split, [0, 2, 1, 3, 4]);
    return this.#unit(this.#reshape(turned, [n, 2 * half, h, w]), x.shape[1] as number, 1);
  }
  #splitJoin(x: Item): Item {
    const wide = this.#unit(x, 12, 1);
    const [a, b] = this.#split(wide, 1, this.#chance(0.5) ? [6, 6] : [4, 8]);
    if (!a || !b) return wide;
    return this.#unit(this.#concat([this.#unit(b, b.shape[1] as number), a]), x.shape[1] as number, 1);
  }
  /** A shortcut that is padded with channels of zeros. */
  #padded(x: Item): Item {
    const channels = x.shape[1] as number;
    const wider = channels + 4;
    const shape = [x.shape[0], wider, ...x.shape.slice(2)];
    const pads = this.#ints('pads', [0, 2, 0, 0, 0, 2, 0, 0]);
    const padded = this.#op('Pad', [x.value, pads], shape);
    return this.#add(padded, this.#conv(this.#unit(x, 8), wider));
  }
  #pixelShuffle(x: Item): Item {
    const [n, , h, w] = x.shape as [Dim, number, number, number];
    if (h > 8) return this.#unit(x, 8);
    const wide = this.#unit(x, 16, 1);
    const byOp = this.#chance(0.5);
    const shape = [n, 4, h * 2, w * 2];
    const crd = this.#chance(0.5);
    const up = byOp
      ? this.#op('DepthToSpace', [wide.value], shape, { blocksize: 2, mode: crd ? 'CRD' : 'DCR' })
      : this.#reshape(this.#transpose(this.#reshape(wide, [n, 4, 2, 2, h, w]), [0, 1, 4, 2, 5, 3]), shape);
    const pooled = this.#op('MaxPool', [up.value], [n, 4, h, w], { kernel_shape: [2, 2], strides: [2, 2] });
    return this.#unit(pooled, x.shape[1] as number);
  }
  #up(x: Item): Item {
    const [n, c, h, w] = x.shape as [Dim, number, number, number];
    const down = this.#op('AveragePool', [this.#unit(x, 8).value], [n, 8, h / 2, w / 2], {
      kernel_shape: [2, 2],
      strides: [2, 2],
    });
    const weight = this.#floats('wt', [8, c, 2, 2]);
    const inputs = [down.value, weight, this.#floats('bt', [c])];
    const up = this.#op('ConvTranspose', inputs, [n, c, h, w], { kernel_shape: [2, 2], strides: [2, 2] });
    return this.#add(x, up);
  }
  #sliced(x: Item): Item {
    const wide = this.#unit(x, 12, 1);
    const [n, , h, w] = wide.shape;
    const cut = (from: number, to: number): Item => {
      const at = [this.#ints('from', [from]), this.#ints('to', [to]), this.#ints('axes', [1])];
      return this.#op('Slice', [wide.value, ...at], [n, to - from, h, w]);
    };
    return this.#unit(this.#add(cut(0, 6), cut(6, 12)), x.shape[1] as number, 1);
  }
  #widen(x: Item): Item {
    const picked = this.#ints('picked', [1, 3, 5, 0, 2, 4, 7, 6]);
    const wide = this.#unit(x, 8, 1);
    return this.#unit(this.#op('Gather', [wide.value, picked], wide.shape, { axis: 1 }), x.shape[1] as number, 1);
  }
  /** As PyTorch writes it: reshaped, normalized, reshaped back. */
  #groupNorm(x: Item): Item {
    const [n, , h, w] = x.shape as [Dim, number, number, number];
    const wide = this.#conv(x, 12, 1);
    const flat = this.#reshape(wide, [n, 4, 3 * h * w]);
    const [scale, bias] = [this.#floats('ones', [4]), this.#floats('zeros', [4])];
    const normed = this.#op('InstanceNormalization', [flat.value, scale, bias], flat.shape);
    const back = this.#reshape(normed, [n, 12, h, w]);
    const gained = this.#op('Mul', [back.value, this.#floats('gain', [12, 1, 1])], back.shape);
    return this.#conv(this.#relu(gained), x.shape[1] as number, 3);
  }
  #head(x: Item): Model {
    const [n, c, h, w] = x.shape as [Dim, number, number, number];
    if (this.#chance(0.5)) {
      const pooled = this.#op('GlobalAveragePool', [x.value], [n, c, 1, 1]);
      return this.#finish(this.#gemm(this.#op('Flatten', [pooled.value], [n, c]), 5));
    }
    const wide = c * h * w;
    const flat = this.#chance(0.5) ? this.#reshape(x, [n, wide]) : this.#op('Flatten', [x.value], [n, wide]);
    return this.#finish(this.#gemm(this.#relu(this.#gemm(flat, 8)), 5));
  }

  #attention(x: Item, heads: number): Item {
    const [n, s, width] = x.shape as [Dim, Dim, number];
    const size = width / heads;
    const kind = this.#whole(5);
    const few = kind === 1 && heads === 4 ? 2 : heads;
    let [q, k, v]: [Item, Item, Item] = [x, x, x];
    if (kind === 2) {
      const parts = this.#split(this.#linear(x, 3 * width), 2, [width, width, width]);
      [q, k, v] = parts.map((part) => this.#heads(part, heads)) as [Item, Item, Item];
    } else if (kind === 3) {
      const packed = this.#reshape(this.#linear(x, 3 * width), [n, s, 3, heads, size]);
      const turned = this.#transpose(packed, [2, 0, 3, 1, 4]);
      const take = (at: number): Item =>
        this.#op('Gather', [turned.value, this.#scalar(at)], turned.shape.slice(1), { axis: 0 });
      [q, k, v] = [take(0), take(1), take(2)];
    } else if (kind === 4) {
      // As nn.MultiheadAttention: taken apart first, into heads then.
      const turned = this.#transpose(this.#reshape(this.#linear(x, 3 * width), [n, s, 3, width]), [2, 0, 1, 3]);
      const take = (at: number): Item =>
        this.#op('Gather', [turned.value, this.#scalar(at)], turned.shape.slice(1), { axis: 0 });
      [q, k, v] = [this.#heads(take(0), heads), this.#heads(take(1), heads), this.#heads(take(2), heads)];
    } else {
      q = this.#heads(this.#linear(x, width), heads);
      k = this.#repeated(this.#heads(this.#linear(x, few * size), few), heads / few);
      v = this.#repeated(this.#heads(this.#linear(x, few * size), few), heads / few);
    }
    const turned = this.#transpose(k, [0, 1, 3, 2]);
    const scores = this.#op('MatMul', [q.value, turned.value], [n, heads, s, s]);
    const scaled = this.#op('Mul', [scores.value, this.#floats('scale', [])], scores.shape);
    const weights = this.#op('Softmax', [scaled.value], scaled.shape, { axis: -1 });
    const mixed = this.#op('MatMul', [weights.value, v.value], [n, heads, s, size]);
    const joined = this.#reshape(this.#transpose(mixed, [0, 2, 1, 3]), [n, s, width]);
    return this.#linear(joined, width);
  }
  #heads(x: Item, heads: number): Item {
    const [n, s, width] = x.shape as [Dim, Dim, number];
    return this.#transpose(this.#reshape(x, [n, s, heads, width / heads]), [0, 2, 1, 3]);
  }
  /** One head of keys for several of queries: [n, few, 1, s, d] repeated and folded. */
  #repeated(x: Item, times: number): Item {
    if (times === 1) return x;
    const [n, few, s, d] = x.shape as [Dim, number, Dim, number];
    const open = this.#op('Unsqueeze', [x.value, this.#ints('axes', [2])], [n, few, 1, s, d]);
    const target = this.#ints('repeat', [1, 1, times, 1, 1]);
    const wide = this.#op('Expand', [open.value, target], [n, few, times, s, d]);
    return this.#reshape(wide, [n, few * times, s, d]);
  }
  #mlp(x: Item): Item {
    const wide = this.#linear(x, 12);
    return this.#linear(this.#op('Erf', [wide.value], wide.shape), x.shape.at(-1) as number);
  }
  #gated(x: Item): Item {
    const width = x.shape.at(-1) as number;
    if (this.#chance(0.5)) {
      const [a, b] = this.#split(this.#linear(x, 16), 2, [8, 8]);
      if (a && b) return this.#linear(this.#op('Mul', [a.value, this.#sigmoid(b).value], a.shape), width);
    }
    const [a, b] = [this.#linear(x, 8), this.#linear(x, 8)];
    return this.#linear(this.#op('Mul', [this.#sigmoid(a).value, b.value], a.shape), width);
  }
  #lstm(x: Item): Item {
    const [n, s, width] = x.shape as [Dim, Dim, number];
    const turned = this.#transpose(x, [1, 0, 2]);
    const directions = this.#pick([1, 2]);
    const [op, gates] = this.#chance(0.5) ? (['LSTM', 4] as const) : (['GRU', 3] as const);
    const hidden = 6;
    const inputs = [
      turned.value,
      this.#floats('w', [directions, gates * hidden, width]),
      this.#floats('r', [directions, gates * hidden, hidden]),
      this.#floats('b', [directions, 2 * gates * hidden]),
    ];
    const direction = directions === 2 ? 'bidirectional' : 'forward';
    const y = this.#op(op, inputs, [s, directions, n, hidden], { hidden_size: hidden, direction });
    const back = this.#transpose(y, [2, 0, 1, 3]);
    return this.#reshape(back, [n, s, directions * hidden]);
  }

  #input(shape: readonly Dim[]): Item {
    return { value: this.#graph.addInput('x', tensorType('float32', shape)), shape };
  }
  #conv(x: Item, channels: number, kernel = 3, group = 1): Item {
    const [n, c, ...space] = x.shape as [Dim, number, ...Dim[]];
    const weight = this.#floats('w', [channels, c / group, kernel, kernel]);
    const inputs = this.#chance(0.5) ? [x.value, weight] : [x.value, weight, this.#floats('b', [channels])];
    const p = (kernel - 1) / 2;
    const attrs = { kernel_shape: [kernel, kernel], pads: [p, p, p, p], group };
    return this.#op('Conv', inputs, [n, channels, ...space], attrs);
  }
  #norm(x: Item): Item {
    if (this.#chance(0.4)) return x;
    const c = x.shape[1] as number;
    const inputs = ['gamma', 'beta', 'mean'].map((name) => this.#floats(name, [c]));
    const variance = tensorFrom(
      'float32',
      [c],
      Float32Array.from({ length: c }, () => 0.5 + this.#next()),
    );
    return this.#op('BatchNormalization', [x.value, ...inputs, this.#graph.addInitializer('var', variance)], x.shape);
  }
  #layerNorm(x: Item): Item {
    const width = x.shape.at(-1) as number;
    const inputs = [x.value, this.#floats('gain', [width]), this.#floats('bias', [width])];
    return this.#op('LayerNormalization', inputs, x.shape, { axis: -1 });
  }
  #linear(x: Item, width: number): Item {
    const inner = x.shape.at(-1) as number;
    const y = this.#op('MatMul', [x.value, this.#floats('w', [inner, width])], [...x.shape.slice(0, -1), width]);
    return this.#chance(0.7) ? this.#op('Add', [y.value, this.#floats('b', [width])], y.shape) : y;
  }
  #gemm(x: Item, width: number): Item {
    const inner = x.shape[1] as number;
    const turned = this.#chance(0.5);
    const weight = this.#floats('w', turned ? [width, inner] : [inner, width]);
    const attrs = { transB: turned ? 1 : 0 };
    return this.#op('Gemm', [x.value, weight, this.#floats('b', [width])], [x.shape[0], width], attrs);
  }
  #relu(x: Item): Item {
    return this.#op(this.#pick(['Relu', 'LeakyRelu', 'Sigmoid', 'Tanh']), [x.value], x.shape);
  }
  #sigmoid(x: Item): Item {
    return this.#op('Sigmoid', [x.value], x.shape);
  }
  #add(a: Item, b: Item): Item {
    return this.#op('Add', [a.value, b.value], a.shape);
  }
  #concat(items: readonly Item[]): Item {
    const [first] = items as [Item];
    const channels = items.reduce((sum, { shape }) => sum + (shape[1] as number), 0);
    const shape = [first.shape[0], channels, ...first.shape.slice(2)];
    return this.#op(
      'Concat',
      items.map(({ value }) => value),
      shape,
      { axis: 1 },
    );
  }
  #split(x: Item, axis: number, sizes: readonly number[]): Item[] {
    const shapes = sizes.map((size) => x.shape.map((dim, at) => (at === axis ? size : dim)));
    const even = new Set(sizes).size === 1 && this.#chance(0.5);
    const node = this.#graph.append('Split', {
      inputs: even ? [x.value] : [x.value, this.#ints('split', sizes)],
      outputs: sizes.map(() => this.#graph.freshName('part')),
      attrs: { axis },
      types: shapes.map((shape) => tensorType('float32', shape)),
    });
    return shapes.map((shape, index) => ({ value: node.output(index), shape }));
  }
  #transpose(x: Item, perm: readonly number[]): Item {
    const shape = perm.map((axis) => x.shape[axis]);
    return this.#op('Transpose', [x.value], shape, { perm });
  }
  /** With a constant target, or with one that is put together at run time. */
  #reshape(x: Item, shape: readonly Dim[]): Item {
    const open = shape.flatMap((dim, at) => (typeof dim === 'number' ? [] : [at]));
    if (open.length === 0 || (open.length === 1 && this.#chance(0.5))) {
      const target = shape.map((dim) => (typeof dim === 'number' ? dim : -1));
      return this.#op('Reshape', [x.value, this.#ints('shape', target)], shape);
    }
    const whole = this.#graph.append('Shape', { inputs: [x.value], outputs: [this.#graph.freshName('dims')] }).output();
    const items = shape.map((dim): Value => {
      if (typeof dim === 'number') return this.#ints('dim', [dim]);
      const at = x.shape.indexOf(dim);
      const inputs = [whole, this.#ints('at', [at])];
      return this.#graph.append('Gather', { inputs, outputs: [this.#graph.freshName('extent')] }).output();
    });
    const attrs = { axis: 0 };
    const target = this.#graph.append('Concat', { inputs: items, outputs: [this.#graph.freshName('target')], attrs });
    return this.#op('Reshape', [x.value, target.output()], shape);
  }
  #op(
    op: string,
    inputs: readonly Value[],
    shape: readonly Dim[],
    attrs: Readonly<Record<string, number | string | readonly number[]>> = {},
  ): Item {
    const node = this.#graph.append(op, {
      name: `${op.toLowerCase()}_${this.#count++}`,
      inputs,
      outputs: [this.#graph.freshName('v')],
      attrs,
      types: [tensorType('float32', shape)],
    });
    return { value: node.output(), shape };
  }
  #floats(name: string, shape: readonly number[]): Value {
    const inner = shape.length > 1 ? elementCount(shape.slice(1)) : 4;
    const data = Float32Array.from(
      { length: elementCount(shape) },
      () => (this.#next() * 2 - 1) * (1.7 / Math.sqrt(inner)),
    );
    return this.#graph.addInitializer(name, tensorFrom('float32', shape, data));
  }
  #ints(name: string, values: readonly number[]): Value {
    return this.#graph.addInitializer(name, int64Vector(values));
  }
  #scalar(value: number): Value {
    return this.#graph.addInitializer('at', tensorFrom('int64', [], BigInt64Array.of(BigInt(value))));
  }
  #finish(x: Item): Model {
    const y = this.#graph.append('Identity', {
      inputs: [x.value],
      outputs: ['y'],
      types: [tensorType('float32', x.shape)],
    });
    this.#graph.addOutput(y.output());
    return new Model(this.#graph, 17, 8);
  }
  #chance(share: number): boolean {
    return this.#next() < share;
  }
  #whole(below: number): number {
    return Math.floor(this.#next() * below);
  }
  #pick<T>(list: readonly T[]): T {
    return list[this.#whole(list.length)] as T;
  }
}
