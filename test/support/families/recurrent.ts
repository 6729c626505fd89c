import type { AttrInput } from '../../../src/ir/attr.ts';
import { float, graph as graphAttr } from '../../../src/ir/attr.ts';
import { Graph, type Model, type Value } from '../../../src/ir/graph.ts';
import { tensorOf } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import { Draft } from './draft.ts';

const steps = 5;
const gates = { LSTM: 4, GRU: 3, RNN: 1 } as const;

/** Layers of LSTM, GRU and RNN in all their forms, beside cells spelled out in Scan and Loop; dense layers around them. */
export function buildRecurrent(seed: number): Model {
  return new Recurrent(seed).build();
}

class Recurrent extends Draft {
  #x: Value;
  #width: number;
  readonly #batch: number | 'N';

  constructor(seed: number) {
    super(seed, 'recurrent');
    this.opset = this.pick([17, 14, 13, 11, 9, 7, 18, 21, 22]);
    this.#batch = this.pick([1, 2, 'N'] as const);
    this.#width = this.pick([4, 8, 16, 12]);
    this.#x = this.input('x', [steps, this.#batch, this.#width]);
  }

  build(): Model {
    for (let layers = this.int(1, 3); layers > 0; layers--) {
      const kind = this.int(0, 9);
      if (kind < 6) this.#layer();
      else if (kind === 6) this.#scanned();
      else if (kind === 7) this.#looped();
      else if (kind === 8) this.#dense();
      else this.#norm();
    }
    if (this.chance(0.5)) this.#last();
    if (this.chance(0.7)) this.#dense();
    if (!this.#x.producer) this.#x = this.op('Relu', [this.#x]);
    this.output(this.#x);
    return this.model();
  }

  #dense(): void {
    const out = this.pick([3, 8, 16]);
    this.#x = this.activation(this.linear(this.#x, this.#width, out));
    this.#width = out;
  }
  #norm(): void {
    if (this.opset < 17) return;
    const scale = this.weight([this.#width], 0.5, 1);
    this.#x = this.op('LayerNormalization', [this.#x, scale, this.weight([this.#width], 0.2)], { axis: -1 });
  }
  /** The last step alone. */
  #last(): void {
    const at = this.pick([steps - 1, -1, 0]);
    this.#x = this.chance(0.5)
      ? this.op('Gather', [this.#x, this.whole(at)], { axis: 0 })
      : this.reduce(this.pick(['ReduceMean', 'ReduceMax', 'ReduceSum']), this.#x, 0, this.chance(0.3));
  }

  #layer(): void {
    const op = this.pick(['LSTM', 'GRU', 'RNN', 'LSTM', 'GRU'] as const);
    const direction = this.pick(['forward', 'reverse', 'bidirectional'] as const);
    const [n, directions] = [this.pick([4, 8, 6]), direction === 'bidirectional' ? 2 : 1];
    const rows = gates[op] * n;
    const known = this.#batch !== 'N';
    const state = (name: string): Value | undefined => {
      if (this.chance(0.6)) return undefined;
      const shape = [directions, this.#batch, n];
      if (this.chance(0.4)) return this.input(this.graph.freshName(name), shape);
      return known ? this.weight(shape as number[], 0.5) : undefined;
    };
    const inputs: (Value | undefined)[] = [
      this.#x,
      this.weight([directions, rows, this.#width], 0.5),
      this.weight([directions, rows, n], 0.4),
      this.chance(0.8) ? this.weight([directions, 2 * rows], 0.3) : undefined,
      known && this.chance(0.3) ? this.#lengths() : undefined,
      state('h0'),
    ];
    if (op === 'LSTM') inputs.push(state('c0'), this.chance(0.3) ? this.weight([directions, 3 * n], 0.3) : undefined);
    while (inputs.at(-1) === undefined) inputs.pop();
    const attrs: Record<string, AttrInput> = { hidden_size: n, direction };
    if (op === 'GRU' && this.chance(0.6)) attrs['linear_before_reset'] = 1;
    if (op === 'LSTM' && this.chance(0.1)) attrs['input_forget'] = 1;
    if (this.chance(0.15)) attrs['clip'] = float(2);
    if (op === 'RNN' && this.chance(0.4)) attrs['activations'] = Array.from({ length: directions }, () => 'Relu');
    const [y, h] = this.ops(op, inputs, attrs, { outputs: op === 'LSTM' ? 3 : 2 }) as [Value, Value];
    if (this.chance(0.3)) this.output(h);
    this.#join(y, directions, n);
  }
  /** [steps, directions, batch, n] → [steps, batch, directions · n], in one of the ways that exporters write it. */
  #join(y: Value, directions: number, n: number): void {
    this.#width = directions * n;
    if (directions === 1 && this.chance(0.7)) this.#x = this.squeeze(y, 1);
    else {
      const turned = this.op('Transpose', [y], { perm: [0, 2, 1, 3] });
      this.#x = this.op('Reshape', [turned, this.numbers(0, this.chance(0.5) ? 0 : -1, directions * n)]);
    }
  }
  #lengths(): Value {
    const lengths = Array.from({ length: this.#batch as number }, () => this.int(1, steps));
    return this.constant('lengths', tensorOf('int32', [lengths.length], lengths));
  }

  /** h' = tanh(x · W + h · R + b), step by step in a Scan. */
  #scanned(): void {
    if (this.opset < 9) return;
    const n = this.pick([4, 8]);
    const body = new Graph('cell');
    const h = body.addInput(this.graph.freshName('h'), tensorType('float32', [this.#batch, n]));
    const x = body.addInput(this.graph.freshName('xt'), tensorType('float32', [this.#batch, this.#width]));
    const next = this.#cell(body, h, x, n);
    body.addOutput(next);
    body.addOutput(this.op('Identity', [next], {}, { graph: body, types: [next.type] }));
    const attrs: Record<string, AttrInput> = { body: graphAttr(body), num_scan_inputs: 1 };
    if (this.chance(0.3)) attrs['scan_input_directions'] = [1];
    const [, y] = this.ops('Scan', [this.#zeros(n), this.#x], attrs, { outputs: 2 }) as [Value, Value];
    this.#x = y;
    this.#width = n;
  }
  #looped(): void {
    if (this.opset < 11) return;
    const n = this.pick([4, 8]);
    const body = new Graph('cell');
    const at = body.addInput(this.graph.freshName('i'), tensorType('int64', []));
    const going = body.addInput(this.graph.freshName('go'), tensorType('bool', []));
    const h = body.addInput(this.graph.freshName('h'), tensorType('float32', [this.#batch, n]));
    const x = this.op('Gather', [this.#x, at], { axis: 0 }, { graph: body });
    const next = this.#cell(body, h, x, n);
    body.addOutput(this.op('Identity', [going], {}, { graph: body, types: [going.type] }));
    body.addOutput(next);
    body.addOutput(this.op('Identity', [next], {}, { graph: body, types: [next.type] }));
    const go = this.constant('true', tensorOf('bool', [], [1]));
    const inputs = [this.whole(this.pick([steps, 3])), go, this.#zeros(n)];
    const [last, y] = this.ops('Loop', inputs, { body: graphAttr(body) }, { outputs: 2 }) as [Value, Value];
    if (this.chance(0.3)) this.output(last);
    this.#x = y;
    this.#width = n;
  }
  #cell(body: Graph, h: Value, x: Value, n: number): Value {
    const sum = this.op('Add', [this.linear(x, this.#width, n, body), this.linear(h, n, n, body)], {}, { graph: body });
    return this.op('Tanh', [sum], {}, { graph: body, types: [tensorType('float32', [this.#batch, n])] });
  }
  /** [batch, n] of zeros, also where the batch is open. */
  #zeros(n: number): Value {
    if (this.#batch !== 'N') return this.weight([this.#batch, n], this.chance(0.5) ? 0 : 0.5);
    const first = this.op('Gather', [this.#x, this.whole(0)], { axis: 0 });
    return this.op('Mul', [this.op('MatMul', [first, this.weight([this.#width, n])]), this.number(0)]);
  }
}
