/** LSTM and GRU as ONNX writes them down, step by step: what runtimes and quantized forms are held against. */

/** Weights of one direction, row-major: w [gates · hidden, inputs], r [gates · hidden, hidden], b [2 · gates · hidden]. */
export interface Direction {
  readonly w: Float32Array;
  readonly r: Float32Array;
  readonly b: Float32Array;
  /** Peepholes of the LSTM: input, output, forget gate. */
  readonly p: Float32Array;
  readonly h0: Float32Array;
  readonly c0: Float32Array;
  readonly reverse: boolean;
}

export interface Sequence {
  /** [steps, batch, inputs] */
  readonly x: Float32Array;
  readonly steps: number;
  readonly batch: number;
  readonly inputs: number;
  readonly hidden: number;
  readonly lengths: readonly number[];
}

/** What a product sees of its left side (rows of all samples of a step): the numbers as they are, or rounded as a kernel rounds them. */
export type Rounding = (rows: Float32Array) => Float32Array;

export const exact: Rounding = (rows) => rows;

/** As DynamicQuantizeLinear: unsigned 8 bits over the range of all rows, zero among them. */
export const rounded: Rounding = (rows) => {
  const [low, high] = [Math.min(0, ...rows), Math.max(0, ...rows)];
  const scale = Math.fround((high - low) / 255) || 1;
  const zero = Math.min(255, Math.max(0, Math.round(-low / scale)));
  return rows.map((x) => (Math.min(255, Math.max(0, Math.round(x / scale) + zero)) - zero) * scale);
};

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Row times matrix: Σ a[k] · m[row, k]. */
function dot(a: Float32Array, from: number, m: Float32Array, row: number, k: number): number {
  let sum = 0;
  for (let i = 0; i < k; i++) sum += (a[from + i] as number) * (m[row * k + i] as number);
  return sum;
}

/** @returns y [steps, batch, hidden] (zeros behind the end of a sample), last h and c [batch, hidden] */
export function lstm(d: Direction, s: Sequence, rounding: Rounding = exact) {
  const { hidden: n } = s;
  const c = d.c0.slice();
  const step = (gate: number, x: number, recurrent: number, j: number): number =>
    x + recurrent + (d.b[gate * n + j] as number) + (d.b[(4 + gate) * n + j] as number);
  const { y, h } = unroll(d, s, rounding, (b, j, x, h) => {
    const at = b * n + j;
    const [peepI = 0, peepO = 0, peepF = 0] = [d.p[j], d.p[n + j], d.p[2 * n + j]];
    const before = c[at] as number;
    const i = sigmoid(step(0, x(0), h(0), j) + peepI * before);
    const f = sigmoid(step(2, x(2), h(2), j) + peepF * before);
    const now = f * before + i * Math.tanh(step(3, x(3), h(3), j));
    c[at] = now;
    return sigmoid(step(1, x(1), h(1), j) + peepO * now) * Math.tanh(now);
  });
  return { y, h, c };
}

/** @param linearBeforeReset the reset gate works on the product instead of on the state */
export function gru(d: Direction, s: Sequence, linearBeforeReset: boolean) {
  const { hidden: n } = s;
  const bias = (gate: number, j: number): number => d.b[gate * n + j] as number;
  return unroll(d, s, exact, (_, j, x, h, state, from) => {
    const z = sigmoid(x(0) + h(0) + bias(0, j) + bias(3, j));
    const reset = (k: number, own: number, recurrent: number): number =>
      sigmoid(own + recurrent + bias(1, k) + bias(4, k));
    let candidate: number;
    if (linearBeforeReset) candidate = x(2) + bias(2, j) + reset(j, x(1), h(1)) * (h(2) + bias(5, j));
    else {
      candidate = x(2) + bias(2, j) + bias(5, j);
      for (let k = 0; k < n; k++)
        candidate += reset(k, x(1, k), h(1, k)) * (state[from + k] as number) * (d.r[(2 * n + j) * n + k] as number);
    }
    return (1 - z) * Math.tanh(candidate) + z * (state[from + j] as number);
  });
}

type Product = (gate: number, unit?: number) => number;

/** Walks the steps of every sample; `cell` gives the new state of one unit from the products of its row. */
function unroll(
  d: Direction,
  { x, steps, batch, inputs, hidden, lengths }: Sequence,
  rounding: Rounding,
  cell: (b: number, j: number, x: Product, h: Product, state: Float32Array, from: number) => number,
) {
  const seen = rounding(x);
  const y = new Float32Array(steps * batch * hidden);
  const h = d.h0.slice();
  for (let t = 0; t < steps; t++) {
    const state = h.slice();
    const roundedState = rounding(state);
    for (let b = 0; b < batch; b++) {
      const length = lengths[b] ?? steps;
      if (t >= length) continue;
      const at = d.reverse ? length - 1 - t : t;
      for (let j = 0; j < hidden; j++) {
        const ofX: Product = (gate, unit = j) =>
          dot(seen, (at * batch + b) * inputs, d.w, gate * hidden + unit, inputs);
        const ofH: Product = (gate, unit = j) => dot(roundedState, b * hidden, d.r, gate * hidden + unit, hidden);
        const value = cell(b, j, ofX, ofH, state, b * hidden);
        h[b * hidden + j] = value;
        y[(at * batch + b) * hidden + j] = value;
      }
    }
  }
  return { y, h };
}
