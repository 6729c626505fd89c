import type { AttrInput } from '../../../src/ir/attr.ts';
import { float } from '../../../src/ir/attr.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { Draft } from './draft.ts';

const ms: { domain: string } = { domain: 'com.microsoft' };
const [length, width, heads] = [4, 16, 2];

/** Transformers that are fused already: attention as one operator (opset 23 and ONNX Runtime's own), with masks and caches; tied embeddings. */
export function buildAttention(seed: number): Model {
  return new Attending(seed).build();
}

class Attending extends Draft {
  #x: Value;
  readonly #table: Value;
  readonly #batch: number;

  constructor(seed: number) {
    super(seed, 'attention');
    this.opset = this.pick([17, 23, 23, 24, 18, 21, 13]);
    this.#batch = this.pick([1, 2]);
    const ids = this.input('ids', [this.#batch, length], 'int64');
    this.#table = this.weight([12, width], 1);
    this.#x = this.op('Gather', [this.#table, ids]);
  }

  build(): Model {
    const kinds = [
      () => this.#standard(),
      () => this.#standard(),
      () => this.#multiHead(),
      () => this.#grouped(),
      () => this.#packed(),
      () => this.#skipNorm(),
      () => this.#feedForward(),
      () => this.#norm(),
    ];
    for (let count = this.int(1, 4); count > 0; count--) this.pick(kinds)();
    if (this.chance(0.6)) this.#x = this.op('MatMul', [this.#x, this.op('Transpose', [this.#table], { perm: [1, 0] })]);
    if (this.chance(0.1)) this.#x = this.op('Gather', [this.#x, this.whole(-1)], { axis: 1 });
    this.output(this.#x);
    return this.model();
  }

  #project(out: number): Value {
    return this.linear(this.#x, width, out);
  }
  #residual(y: Value): void {
    const out = this.chance(0.7) ? this.linear(y, width, width) : y;
    this.#x = this.chance(0.8) ? this.op('Add', [this.#x, out]) : out;
  }
  /** A row of the mask may leave nothing over. */
  #mask(shape: readonly number[], flags: boolean): Value {
    const count = shape.reduce((a, b) => a * b, 1);
    const open = Array.from({ length: count }, () => (this.chance(0.7) ? 1 : 0));
    // The first position is always open: a row of nothing but −∞ is no number.
    for (let at = 0; at < count; at += shape.at(-1) as number) open[at] = 1;
    if (flags) return this.constant('mask', tensorOf('bool', shape, open));
    const low = this.pick([-10_000, -3.4e38, -1e9]);
    return this.constant(
      'mask',
      tensorFrom(
        'float32',
        shape,
        Float32Array.from(open, (flag) => (flag ? 0 : low)),
      ),
    );
  }
  #past(name: string, kv: number): Value {
    return this.input(this.graph.freshName(name), [this.#batch, kv, 3, width / heads]);
  }

  /** ONNX's Attention, opset 23. */
  #standard(): void {
    if (this.opset < 23) return;
    const size = width / heads;
    const kv = this.chance(0.3) ? 1 : heads;
    const attrs: Record<string, AttrInput> = {};
    const four = this.chance(0.4);
    const apart = (value: Value, count: number): Value => {
      if (!four) return value;
      const open = this.op('Reshape', [value, this.numbers(0, 0, count, size)]);
      return this.op('Transpose', [open], { perm: [0, 2, 1, 3] });
    };
    if (!four) Object.assign(attrs, { q_num_heads: heads, kv_num_heads: kv });
    const cached = this.chance(0.3);
    const total = cached ? length + 3 : length;
    const inputs: (Value | undefined)[] = [
      apart(this.#project(width), heads),
      apart(this.#project(kv * size), kv),
      apart(this.#project(kv * size), kv),
    ];
    const masked = this.chance(0.5);
    inputs.push(
      masked
        ? this.#mask(
            this.pick([
              [length, total],
              [1, 1, length, total],
              [this.#batch, heads, length, total],
            ]),
            this.chance(0.5),
          )
        : undefined,
    );
    if (cached) inputs.push(this.#past('past_k', kv), this.#past('past_v', kv));
    while (inputs.at(-1) === undefined) inputs.pop();
    if (!cached && this.chance(0.3)) attrs['is_causal'] = 1;
    if (this.chance(0.3)) attrs['scale'] = float(0.4);
    if (this.chance(0.2)) attrs['softcap'] = float(5);
    const outputs = this.ops('Attention', inputs, attrs, { outputs: cached ? 3 : 1 });
    for (const value of outputs.slice(1)) this.output(value);
    let y = outputs[0] as Value;
    if (four) y = this.op('Reshape', [this.op('Transpose', [y], { perm: [0, 2, 1, 3] }), this.numbers(0, 0, width)]);
    this.#residual(y);
  }
  #multiHead(): void {
    const inputs: (Value | undefined)[] = [this.#project(width), this.#project(width), this.#project(width)];
    inputs.push(this.chance(0.4) ? this.weight([3 * width], 0.3) : undefined, undefined);
    if (this.chance(0.4)) inputs.push(this.#mask([1, this.chance(0.5) ? heads : 1, length, length], false));
    while (inputs.at(-1) === undefined) inputs.pop();
    this.#residual(
      this.op('MultiHeadAttention', inputs, { num_heads: heads, ...(this.chance(0.3) && { scale: float(0.3) }) }, ms),
    );
  }
  #grouped(): void {
    const kv = this.pick([1, 2]);
    const size = width / heads;
    const lengths = this.constant(
      'lengths',
      tensorOf(
        'int32',
        [this.#batch],
        Array.from({ length: this.#batch }, () => length - 1),
      ),
    );
    const total = this.constant('total', tensorOf('int32', [], [length]));
    const [k, v] = [
      this.input(this.graph.freshName('pk'), [this.#batch, kv, 0, size]),
      this.input(this.graph.freshName('pv'), [this.#batch, kv, 0, size]),
    ];
    const inputs = [this.#project(width), this.#project(kv * size), this.#project(kv * size), k, v, lengths, total];
    const attrs = { num_heads: heads, kv_num_heads: kv };
    const [y, newK, newV] = this.ops('GroupQueryAttention', inputs, attrs, { ...ms, outputs: 3 }) as [
      Value,
      Value,
      Value,
    ];
    this.output(newK);
    this.output(newV);
    this.#residual(y);
  }
  /** Query, key and value by one product inside the operator. */
  #packed(): void {
    const inputs = [this.#x, this.spread([width, 3 * width], width), this.weight([3 * width], 0.3)];
    if (this.chance(0.4)) {
      const open = Array.from({ length: this.#batch * length }, (_, i) =>
        i % length === 0 || this.chance(0.7) ? 1 : 0,
      );
      inputs.push(this.constant('mask', tensorOf('int32', [this.#batch, length], open)));
    }
    const attrs = { num_heads: heads, ...(this.chance(0.3) && { unidirectional: 1 }) };
    this.#residual(this.op('Attention', inputs, attrs, ms));
  }
  #skipNorm(): void {
    const y = this.#project(width);
    const parameters = [this.weight([width], 0.5, 1), this.weight([width], 0.2)];
    if (this.chance(0.5))
      this.#x = this.op('SkipLayerNormalization', [this.#x, y, ...parameters], { epsilon: float(1e-5) }, ms);
    else
      this.#x = this.op('SkipSimplifiedLayerNormalization', [this.#x, y, parameters[0]], { epsilon: float(1e-5) }, ms);
  }
  #norm(): void {
    const scale = this.weight([width], 0.5, 1);
    if (this.opset >= 23 && this.chance(0.5)) this.#x = this.op('RMSNormalization', [this.#x, scale], { axis: -1 });
    else if (this.opset >= 17)
      this.#x = this.op('LayerNormalization', [this.#x, scale, this.weight([width], 0.2)], { axis: -1 });
  }
  #feedForward(): void {
    const inner = this.linear(this.#x, width, 2 * width);
    const active = this.chance(0.3)
      ? this.op('FastGelu', [inner], {}, ms)
      : this.chance(0.3)
        ? this.op('Gelu', [inner], {}, ms)
        : this.activation(inner);
    this.#residual(this.linear(active, 2 * width, width));
  }
}
