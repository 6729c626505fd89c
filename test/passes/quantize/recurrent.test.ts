import { describe, expect, it } from 'vitest';
import { quantizeDynamic } from '../../../passes/quantize/quantize-dynamic.ts';
import { cloneModel } from '../../../src/ir/clone.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node } from '../../../src/ir/graph.ts';
import { tensorFrom, toNumbers } from '../../../src/ir/tensor.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { randomNumbers } from '../../../src/kernels/random.ts';
import { TestContext } from '../../support/context.ts';
import { type Feeds, runOrt } from '../../support/ort.ts';
import { type Direction, gru, lstm, type Rounding, rounded, type Sequence } from '../../support/recurrent.ts';

const [steps, batch, inputs, hidden] = [5, 3, 12, 8];

interface Case {
  readonly directions: readonly ('forward' | 'reverse')[];
  readonly states?: boolean;
  readonly peepholes?: boolean;
  readonly lengths?: readonly number[];
  readonly attrs?: string;
}

/** A layer with random weights, what it is fed, and its weights one direction at a time. */
function layer(op: 'LSTM' | 'GRU', { directions, states, peepholes, lengths, attrs = '' }: Case) {
  const d = directions.length;
  const gates = op === 'LSTM' ? 4 : 3;
  const next = randomNumbers(11);
  const fill = (count: number): Float32Array => Float32Array.from({ length: count }, () => 1.2 * (next() - 0.5));
  const parts: Record<string, [readonly number[], Float32Array]> = {
    w: [[d, gates * hidden, inputs], fill(d * gates * hidden * inputs)],
    r: [[d, gates * hidden, hidden], fill(d * gates * hidden * hidden)],
    b: [[d, 2 * gates * hidden], fill(d * 2 * gates * hidden)],
    h0: [[d, batch, hidden], states ? fill(d * batch * hidden) : new Float32Array(d * batch * hidden)],
    c0: [[d, batch, hidden], states ? fill(d * batch * hidden) : new Float32Array(d * batch * hidden)],
    p: [[d, 3 * hidden], peepholes ? fill(d * 3 * hidden) : new Float32Array(d * 3 * hidden)],
  };
  const x = fill(steps * batch * inputs);
  const direction = d === 2 ? 'bidirectional' : directions[0];
  const more = op === 'LSTM' ? ', h0, c0, p' : ', h0';
  const outputs = op === 'LSTM' ? 'y, h, c' : 'y, h';
  const declared = outputs
    .split(', ')
    .map((name) => `float[] ${name}`)
    .join(', ');
  const model = parseModel(
    `<ir_version: 8, opset_import: ["" : 14]>
    g (float[${steps},${batch},${inputs}] x) => (${declared}) {
      ${outputs} = ${op} <direction = "${direction}", hidden_size = ${hidden}${attrs}> (x, w, r, b, n${more}) }`.replace(
      ') {',
      `) <${[...Object.keys(parts), 'n'].map((name) => (name === 'n' ? 'int32[3] n = fill(0)' : `float[${parts[name]?.[0].join(',')}] ${name} = fill(0)`)).join(', ')}> {`,
    ),
  );
  for (const value of [...model.graph.initializers]) {
    const part = parts[value.name];
    const tensor = part
      ? tensorFrom('float32', part[0], part[1])
      : tensorFrom('int32', [3], Int32Array.from(lengths ?? [steps, steps, steps]));
    model.graph.attachInitializer(value, tensor);
  }
  const sequence: Sequence = { x, steps, batch, inputs, hidden, lengths: lengths ?? [steps, steps, steps] };
  const own = (name: string, at: number): Float32Array => {
    const data = parts[name]?.[1] ?? new Float32Array();
    return data.slice((at * data.length) / d, ((at + 1) * data.length) / d);
  };
  const all = directions.map(
    (name, at): Direction => ({
      w: own('w', at),
      r: own('r', at),
      b: own('b', at),
      p: own('p', at),
      h0: own('h0', at),
      c0: own('c0', at),
      reverse: name === 'reverse',
    }),
  );
  const feeds: Feeds = new Map([['x', tensorFrom('float32', [steps, batch, inputs], x)]]);
  return { model, sequence, directions: all, feeds };
}

/** Outputs as the runtime lays them out: y [steps, directions, batch, hidden], states [directions, batch, hidden]. */
function laidOut(results: readonly { y: Float32Array; h: Float32Array; c?: Float32Array }[]): Record<string, number[]> {
  const block = batch * hidden;
  const y = Array.from({ length: steps }, (_, t) => results.map((one) => [...one.y.slice(t * block, (t + 1) * block)]));
  const states = (name: 'h' | 'c'): number[] => results.flatMap((one) => [...(one[name] ?? [])]);
  return { y: y.flat(2), h: states('h'), ...(results[0]?.c && { c: states('c') }) };
}

async function run(model: Model, feeds: Feeds): Promise<Record<string, number[]>> {
  const [outputs] = await runOrt(model, [feeds]);
  return Object.fromEntries([...(outputs ?? [])].map(([name, tensor]) => [name, [...(toNumbers(tensor) ?? [])]]));
}

function farthest(a: Record<string, number[]>, b: Record<string, number[]>): number {
  expect(Object.keys(a).sort()).toEqual(Object.keys(b).sort());
  const differences = Object.entries(a).flatMap(([name, values]) => {
    expect(b[name]).toHaveLength(values.length);
    return values.map((value, at) => Math.abs(value - (b[name]?.[at] ?? Number.NaN)));
  });
  return Math.max(...differences);
}

async function quantized(model: Model): Promise<Model> {
  const copy = cloneModel(model);
  await quantizeDynamic.run(copy, quantizeDynamic({ minElements: 0, cpu: 'vnni' }).options as never, new TestContext());
  return copy;
}

const numbersAt = (node: Node, index: number): number[] => {
  const tensor = constantOf(node.input(index));
  return [...((tensor && toNumbers(tensor)) ?? [])];
};

/** (code − zero point) · scale of a DynamicQuantizeLSTM, back in the layout of LSTM. */
function expanded(node: Node, index: number, at: number, directions: number): Float32Array {
  const [codes, scales, zeros] = [index, index === 1 ? 8 : 10, index === 1 ? 9 : 11].map((i) => numbersAt(node, i));
  const gates = 4 * hidden;
  const k = (codes?.length ?? 0) / directions / gates;
  const values = new Float32Array(gates * k);
  for (let row = 0; row < k; row++)
    for (let gate = 0; gate < gates; gate++) {
      const code = codes?.[(at * k + row) * gates + gate] ?? Number.NaN;
      values[gate * k + row] = (code - (zeros?.[at * gates + gate] ?? 0)) * (scales?.[at * gates + gate] ?? 0);
    }
  return values;
}

const cases: readonly [string, Case][] = [
  ['forward', { directions: ['forward'] }],
  ['reverse, with states', { directions: ['reverse'], states: true }],
  ['both, with states and lengths', { directions: ['forward', 'reverse'], states: true, lengths: [5, 2, 4] }],
];

describe('LSTM in 8 bits', () => {
  it.each<[string, Case]>([
    ...cases,
    [
      'both, with peepholes, states and lengths',
      { directions: ['forward', 'reverse'], states: true, peepholes: true, lengths: [3, 5, 1] },
    ],
  ])('is the formula on its codes: %s', async (_, given) => {
    const { model, sequence, directions, feeds } = layer('LSTM', given);
    // The formula is right: in float it is the runtime's LSTM.
    expect(farthest(await run(model, feeds), laidOut(directions.map((one) => lstm(one, sequence))))).toBeLessThan(2e-6);

    const after = await quantized(model);
    const [node] = [...after.graph.nodes];
    if (node?.op !== 'DynamicQuantizeLSTM') throw new Error('nothing was quantized');
    const formula = (rounding?: Rounding) =>
      laidOut(
        directions.map((one, at) =>
          lstm(
            { ...one, w: expanded(node, 1, at, directions.length), r: expanded(node, 2, at, directions.length) },
            sequence,
            rounding,
          ),
        ),
      );
    const actual = await run(after, feeds);
    // With inputs and states rounded as the kernel does; without that rounding it is another function by far more.
    expect(farthest(actual, formula(rounded))).toBeLessThan(2e-3);
    expect(farthest(actual, formula())).toBeLessThan(2e-2);
    // Weights are within half a step of what they were.
    for (const [at, one] of directions.entries())
      for (const [index, float] of [
        [1, one.w],
        [2, one.r],
      ] as const) {
        const largest = Math.max(...float.map(Math.abs));
        const codes = expanded(node, index, at, directions.length);
        expect(Math.max(...codes.map((value, i) => Math.abs(value - (float[i] as number))))).toBeLessThan(
          largest / 253,
        );
      }
  });
});

describe('GRU in 8 bits', () => {
  it.each<[string, Case, boolean]>(
    cases.flatMap(([name, given]) => [
      [name, given, false],
      [`${name}, linear before reset`, { ...given, attrs: ', linear_before_reset = 1' }, true],
    ]),
  )('is the formula on its codes, in float arithmetic: %s', async (_, given, linearBeforeReset) => {
    const { model, sequence, directions, feeds } = layer('GRU', given);
    const formula = (all: readonly Direction[]) => laidOut(all.map((one) => gru(one, sequence, linearBeforeReset)));
    expect(farthest(await run(model, feeds), formula(directions))).toBeLessThan(2e-6);

    const after = await quantized(model);
    expect([...after.graph.nodes].map(({ op }) => op).sort()).toEqual(['Cast', 'Cast', 'GRU', 'Mul', 'Mul']);
    const weights = (index: number): number[] => {
      const mul = [...after.graph.nodes].find(({ op }) => op === 'GRU')?.input(index)?.producer;
      const cast = mul?.inputs.map((value) => value?.producer).find((node) => node?.is('Cast'));
      const scale = mul?.inputs.find((value) => value?.producer === undefined);
      const codes = cast ? numbersAt(cast, 0) : [];
      const tensor = constantOf(scale);
      const scales = [...((tensor && toNumbers(tensor)) ?? [])];
      const each = codes.length / scales.length;
      return codes.map((code, at) => Math.fround(code * (scales[Math.floor(at / each)] ?? 0)));
    };
    const [w, r] = [weights(1), weights(2)];
    const part = (values: number[], at: number): Float32Array =>
      Float32Array.from(
        values.slice((at * values.length) / directions.length, ((at + 1) * values.length) / directions.length),
      );
    const own = directions.map((one, at) => ({ ...one, w: part(w, at), r: part(r, at) }));
    expect(farthest(await run(after, feeds), formula(own))).toBeLessThan(2e-6);
    expect(farthest(formula(own), formula(directions))).toBeLessThan(1e-2);
  });
});
