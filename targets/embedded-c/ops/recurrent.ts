import type { Node } from '../../../src/ir/graph.ts';
import type { Compiler } from '../compile/compiler.ts';
import { cannot, type Ref } from '../compile/types.ts';

const gateCount: Readonly<Record<string, number>> = { LSTM: 4, GRU: 3, RNN: 1 };
const usual: Readonly<Record<string, readonly string[]>> = {
  LSTM: ['Sigmoid', 'Tanh', 'Tanh'],
  GRU: ['Sigmoid', 'Tanh'],
  RNN: ['Tanh'],
};

/** LSTM, GRU and RNN with the usual activations, one direction or both; batch in the second dimension. */
export function compileRecurrent(compiler: Compiler, node: Node): void {
  const { op } = node;
  const gates = gateCount[op] ?? cannot(node, 'it is not known');
  const [length = 1, batch = 1, size = 1] = compiler.typeOf(compiler.input(node, 0)).shape;
  const [directions = 1, , hidden] = compiler.typeOf(compiler.input(node, 2)).shape;
  const units = hidden ?? 1;
  const direction = node.string('direction') ?? 'forward';
  const named = node.attr('activations');
  const activations = named?.type === 'strings' ? named.value : undefined;
  const expected = Array.from({ length: directions }, () => usual[op] ?? []).flat();
  if (activations && activations.join().toLowerCase() !== expected.join().toLowerCase())
    cannot(node, `its activations are ${activations.join(', ')}`);
  if (node.float('clip') !== undefined) cannot(node, 'it clips');
  if (node.int('layout', 0) !== 0) cannot(node, 'its layout is 1');
  if (node.int('input_forget', 0) !== 0) cannot(node, 'it couples its gates');
  if (node.inputs[7]) cannot(node, 'it has peepholes');
  if (node.inputs[4] && !compiler.constantOf(node.inputs[4]))
    cannot(node, 'its sequence lengths are given at run time');
  const lengths = node.inputs[4] && compiler.constantOf(node.inputs[4]);
  if (lengths && new Int32Array(lengths.bytes().slice().buffer).some((one) => one !== length))
    cannot(node, 'its sequences are of different lengths');
  const x = compiler.ref(compiler.input(node, 0));
  const [w, r] = [compiler.ref(compiler.input(node, 1)), compiler.ref(compiler.input(node, 2))];
  const optional = (index: number): Ref | undefined => {
    const value = node.inputs[index];
    return value && compiler.ref(value);
  };
  const [b, h0, c0] = [optional(3), optional(5), op === 'LSTM' ? optional(6) : undefined];
  const scratch = compiler.scratch((2 * gates * units + 2 * units) * 4);
  const outputs = node.outputs.map((value) => (value?.isUsed ? compiler.define(value) : undefined));
  const [y, yh, yc] = outputs;
  compiler.kernels.add('dot');
  const name = op.toLowerCase();
  compiler.kernels.add(name);
  const reset = op === 'GRU' ? `, ${node.int('linear_before_reset', 0)}` : '';
  compiler.steps.push({
    title: `${node}`,
    reads: [x, w, r, ...[b, h0, c0].flatMap((ref) => (ref ? [ref] : []))],
    writes: outputs.flatMap((ref) => (ref ? [ref] : [])),
    scratch,
    code(at) {
      const lines: string[] = [];
      for (let d = 0; d < directions; d++) {
        const backward = direction === 'reverse' || d === 1 ? 1 : 0;
        const part = (ref: Ref | undefined, count: number): string => (ref ? `${at(ref)} + ${d * count}` : '0');
        const state = (ref: Ref | undefined): string => part(ref, batch * units);
        lines.push(
          `for (int n = 0; n < ${batch}; ++n) ${name}(${at(x)} + n * ${size}, ${batch * size}, ${part(w, gates * units * size)}, ${part(r, gates * units * units)}, ` +
            `${part(b, 2 * gates * units)}, ${h0 ? `${state(h0)} + n * ${units}` : '0'}, ${op === 'LSTM' ? `${c0 ? `${state(c0)} + n * ${units}` : '0'}, ` : ''}` +
            `${y ? `${at(y)} + ${d * batch * units} + n * ${units}` : '0'}, ${directions * batch * units}, ${yh ? `${state(yh)} + n * ${units}` : '0'}, ` +
            `${op === 'LSTM' ? `${yc ? `${state(yc)} + n * ${units}` : '0'}, ` : ''}(f32*)${at(scratch)}, ${length}, ${size}, ${units}, ${backward}${reset});`,
        );
      }
      return lines.join('\n  ');
    },
  });
}

const common = (
  gates: number,
): string => `  f32 *gate = work, *part = work + ${gates} * units, *h = work + ${2 * gates} * units;
  for (int u = 0; u < units; ++u) h[u] = h0 ? h0[u] : 0.0f;`;

const products = (gates: number): string => `    for (int g = 0; g < ${gates} * units; ++g) {
      gate[g] = dot(w + g * size, in, size) + (b ? b[g] : 0.0f);
      part[g] = dot(r + g * units, h, units) + (b ? b[${gates} * units + g] : 0.0f);
    }`;

export const lstm = `static void lstm(const f32* x, int x_step, const f32* w, const f32* r, const f32* b, const f32* h0, const f32* c0, f32* y, int y_step, f32* yh, f32* yc, f32* work, int length, int size, int units, int backward) {
${common(4)}
  f32* c = h + units;
  for (int u = 0; u < units; ++u) c[u] = c0 ? c0[u] : 0.0f;
  for (int t = 0; t < length; ++t) {
    const int at = backward ? length - 1 - t : t;
    const f32* in = x + at * x_step;
${products(4)}
    for (int u = 0; u < units; ++u) {
      const f32 i = sigmoid(gate[u] + part[u]), o = sigmoid(gate[units + u] + part[units + u]);
      const f32 f = sigmoid(gate[2 * units + u] + part[2 * units + u]);
      c[u] = f * c[u] + i * tanhf(gate[3 * units + u] + part[3 * units + u]);
      h[u] = o * tanhf(c[u]);
      if (y) y[at * y_step + u] = h[u];
    }
  }
  for (int u = 0; u < units; ++u) { if (yh) yh[u] = h[u]; if (yc) yc[u] = c[u]; }
}
`;

export const gru = `static void gru(const f32* x, int x_step, const f32* w, const f32* r, const f32* b, const f32* h0, f32* y, int y_step, f32* yh, f32* work, int length, int size, int units, int backward, int before_reset) {
${common(3)}
  f32* reset = h + units;
  for (int t = 0; t < length; ++t) {
    const int at = backward ? length - 1 - t : t;
    const f32* in = x + at * x_step;
${products(3)}
    for (int u = 0; u < units; ++u) {
      gate[u] = sigmoid(gate[u] + part[u]);
      part[units + u] = sigmoid(gate[units + u] + part[units + u]);
      reset[u] = part[units + u] * h[u];
    }
    for (int u = 0; u < units; ++u) {
      const f32 inner = before_reset ? part[units + u] * part[2 * units + u]
                                     : dot(r + (2 * units + u) * units, reset, units) + (b ? b[5 * units + u] : 0.0f);
      part[u] = tanhf(gate[2 * units + u] + inner);
    }
    for (int u = 0; u < units; ++u) {
      h[u] = (1.0f - gate[u]) * part[u] + gate[u] * h[u];
      if (y) y[at * y_step + u] = h[u];
    }
  }
  if (yh) for (int u = 0; u < units; ++u) yh[u] = h[u];
}
`;

export const rnn = `static void rnn(const f32* x, int x_step, const f32* w, const f32* r, const f32* b, const f32* h0, f32* y, int y_step, f32* yh, f32* work, int length, int size, int units, int backward) {
${common(1)}
  for (int t = 0; t < length; ++t) {
    const int at = backward ? length - 1 - t : t;
    const f32* in = x + at * x_step;
${products(1)}
    for (int u = 0; u < units; ++u) {
      h[u] = tanhf(gate[u] + part[u]);
      if (y) y[at * y_step + u] = h[u];
    }
  }
  if (yh) for (int u = 0; u < units; ++u) yh[u] = h[u];
}
`;
