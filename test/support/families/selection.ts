import { float } from '../../../src/ir/attr.ts';
import type { Model, Value } from '../../../src/ir/graph.ts';
import { tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { Draft } from './draft.ts';

/** Dense layers between operators that pick, sort, scatter, count and repeat rows: heads of detectors, graphs of messages, recommenders. */
export function buildSelection(seed: number): Model {
  return new Selection(seed).build();
}

const rows = 6;

class Selection extends Draft {
  #x: Value;
  #width = 8;
  /** How many rows there are at least; 0 behind what may leave none. */
  #rows = rows;

  constructor(seed: number) {
    super(seed, 'selection');
    this.opset = this.pick([17, 13, 12, 11, 18, 21, 16, 22]);
    this.#x = this.input('x', [this.chance(0.7) ? rows : 'N', this.#width]);
    if (typeof this.#x.shape?.[0] !== 'number') this.#rows = 2;
  }

  build(): Model {
    const kinds = [
      () => this.#dense(),
      () => this.#dense(),
      () => this.#top(),
      () => this.#gather(),
      () => this.#scatter(),
      () => this.#scatterRows(),
      () => this.#where(),
      () => this.#compress(),
      () => this.#sum(),
      () => this.#repeat(),
      () => this.#split(),
      () => this.#boxes(),
      () => this.#product(),
      () => this.#hot(),
    ];
    for (let count = this.int(2, 6); count > 0; count--) this.pick(kinds)();
    if (this.chance(0.3)) this.output(this.op('ArgMax', [this.#x], { axis: -1 }), tensorType('int64'));
    if (this.chance(0.3)) this.output(this.op('Shape', [this.#x]), tensorType('int64', [2]));
    if (this.chance(0.2)) this.#x = this.reduce('ReduceMax', this.reduce('ReduceSum', this.#x, 0, false), 0, false);
    if (!this.#x.producer) this.#x = this.op('Neg', [this.#x]);
    this.output(this.#x);
    return this.model();
  }

  #dense(): void {
    const out = this.pick([4, 8, 16]);
    this.#x = this.activation(this.linear(this.#x, this.#width, out));
    this.#width = out;
  }
  #top(): void {
    if (this.#rows === 0) return;
    const k = this.int(1, Math.min(2, this.#rows));
    const [values, indices] = this.ops('TopK', [this.#x, this.numbers(k)], { axis: 0 }, { outputs: 2 });
    if (this.chance(0.3)) this.output(indices as Value, tensorType('int64'));
    this.#x = values as Value;
    this.#rows = k;
  }
  #indices(count: number): Value {
    const limit = this.#rows;
    return this.numbers(...Array.from({ length: count }, () => this.int(this.chance(0.2) ? -limit : 0, limit - 1)));
  }
  #gather(): void {
    if (this.#rows === 0) return;
    const count = this.int(1, 4);
    this.#x = this.op('Gather', [this.#x, this.#indices(count)], { axis: 0 });
    this.#rows = count;
  }
  /** Messages to rows: some indices are there twice. */
  #scatter(): void {
    if (this.#rows === 0) return;
    const zeros = this.op('Mul', [this.#x, this.number(0)]);
    const picked = this.numbers(...Array.from({ length: 3 }, () => this.int(0, this.#rows - 1)));
    const messages = this.op('Gather', [this.#x, this.#indices(3)], { axis: 0 });
    const wide = this.op('Expand', [this.unsqueeze(picked, 1), this.numbers(3, this.#width)]);
    if (this.opset < 16) return;
    const reduction = this.opset >= 18 ? this.pick(['add', 'max', 'mul']) : 'add';
    const sums = this.op('ScatterElements', [zeros, wide, messages], { axis: 0, reduction });
    this.#x = this.op('Add', [sums, this.#x]);
  }
  #scatterRows(): void {
    if (this.#rows === 0) return;
    const at = this.constant('at', tensorOf('int64', [1, 1], [this.int(0, this.#rows - 1)]));
    this.#x = this.op('ScatterND', [this.#x, at, this.weight([1, this.#width])]);
  }
  #where(): void {
    const big = this.op('Greater', [this.#x, this.number(0)]);
    if (this.chance(0.3)) {
      const counted = this.reduce('ReduceSum', this.op('Cast', [big], { to: 7 }), 1, false);
      this.output(counted, tensorType('int64'));
    }
    this.#x = this.op('Where', [this.chance(0.3) ? this.op('Not', [big]) : big, this.#x, this.number(0.5)]);
  }
  #compress(): void {
    const kept = this.op('Greater', [this.reduce('ReduceSum', this.#x, 1, false), this.number(-1e6)]);
    this.#x = this.op('Compress', [this.#x, kept], { axis: 0 });
  }
  #sum(): void {
    const axis = this.whole(0);
    this.#x = this.op('CumSum', [this.#x, axis], this.chance(0.3) ? { reverse: 1 } : { exclusive: this.int(0, 1) });
  }
  #repeat(): void {
    const times = this.int(1, 2);
    if (this.chance(0.5)) this.#x = this.op('Tile', [this.#x, this.numbers(times, 1)]);
    else {
      const open = this.op('Expand', [this.unsqueeze(this.#x, 0), this.numbers(times, 1, 1)]);
      this.#x = this.op('Reshape', [open, this.numbers(-1, this.#width)]);
    }
    this.#rows *= times;
  }
  #split(): void {
    if (this.#width % 2) return;
    const half = this.#width / 2;
    const parts =
      this.opset >= 13
        ? this.ops('Split', [this.#x, this.numbers(half, half)], { axis: 1 }, { outputs: 2 })
        : this.ops('Split', [this.#x], { axis: 1, split: [half, half] }, { outputs: 2 });
    const [a, b] = parts as [Value, Value];
    this.#x = this.op('Mul', [a, this.op('Sigmoid', [this.chance(0.5) ? b : a])]);
    this.#width = half;
  }
  /** Boxes of rows, their overlaps suppressed; only which are left goes out. */
  #boxes(): void {
    const corners = this.op('MatMul', [this.#x, this.weight([this.#width, 4])]);
    const scores = this.op('Sigmoid', [this.op('MatMul', [this.#x, this.weight([this.#width, 2])])]);
    const inputs = [this.unsqueeze(corners, 0), this.unsqueeze(this.op('Transpose', [scores], { perm: [1, 0] }), 0)];
    const limits = [
      this.numbers(this.int(1, 3)),
      ...[0.5, 0.3].map((x) => this.constant('t', tensorFrom('float32', [1], Float32Array.of(x)))),
    ];
    const kept = this.op('NonMaxSuppression', [...inputs, ...limits], { center_point_box: this.int(0, 1) });
    const row = this.op('Gather', [kept, this.whole(2)], { axis: 1 });
    this.#x = this.op('Gather', [this.#x, row], { axis: 0 });
    this.#rows = 0;
  }
  #product(): void {
    const turned = this.op('Transpose', [this.#x], { perm: [1, 0] });
    const scores = this.op('MatMul', [this.#x, turned]);
    if (this.chance(0.5)) this.output(this.op('Softmax', [scores], { axis: -1 }));
    this.#x = this.op('MatMul', [this.op('Mul', [scores, this.number(0.1)]), this.#x]);
  }
  #hot(): void {
    const best = this.op('ArgMax', [this.#x], { axis: 1, keepdims: 0 });
    const values = this.constant('onoff', tensorFrom('float32', [2], Float32Array.of(0, this.pick([1, 0.7]))));
    const hot = this.op('OneHot', [best, this.whole(this.#width), values], { axis: -1 });
    this.#x = this.op('LeakyRelu', [this.op('Add', [hot, this.#x])], { alpha: float(0.2) });
  }
}
