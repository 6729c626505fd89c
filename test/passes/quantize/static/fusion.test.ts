import { describe, expect, it } from 'vitest';
import { c1, c2, conv1, conv2, image, imageOut, rows } from './fusion-rows.ts';
import { fused, head } from './support.ts';

describe('what ONNX Runtime makes of quantized patterns', () => {
  for (const row of rows) {
    it(row.name, async () => {
      const text = head(
        row.opset ?? 13,
        `g (${row.input ?? image} x) => (${row.output ?? imageOut} y) <${row.constants}> { ${row.body} }`,
      );
      const { audit, problems, db, unfusedDb, skips } = await fused(text, row.options);
      expect(problems).toEqual([]);
      expect(audit.findings, skips.join('\n')).toEqual([]);
      expect(audit.fusedOps, skips.join('\n')).toEqual(row.fused);
      expect(audit.leftoverQdq).toBe(row.leftover ?? 0);
      expect(audit.floatNodes).toBe(0);
      expect(Math.min(db, unfusedDb)).toBeGreaterThan(row.db ?? 26);
    });
  }
});

/** Ops that have no integer kernel: nothing may be put around them, and their neighbours still fuse. */
const floats: readonly (readonly [op: string, body: string, constants?: string, opset?: number])[] = [
  ['Sub', 'z = Sub (c, k)', 'float[8,1,1] k = random(8)'],
  ['Div', 'z = Div (c, k)', 'float k = {1.5}'],
  ['Erf', 'z = Erf (c)'],
  ['Tanh', 'z = Tanh (c)'],
  ['HardSigmoid', 'z = HardSigmoid (c)'],
  ['ReduceMean', 'm = ReduceMean <axes = [1], keepdims = 1> (c)  z = Expand (m, s)', 'int64[4] s = {1,8,8,8}'],
  ['InstanceNormalization', 'z = InstanceNormalization (c, g, h)', 'float[8] g = random(8), float[8] h = random(9)'],
  ['PRelu', 'z = PRelu (c, k)', 'float[8,1,1] k = random(8)'],
  ['Relu behind two readers', 'r = Relu (c)  t = Tanh (c)  z = Sub (r, t)'],
  ['HardSwish', 'z = HardSwish (c)', undefined, 14],
  ['LayerNormalization', 'z = LayerNormalization (c, g)', 'float[8] g = random(8)', 17],
  ['Gelu', 'z = Gelu (c)', undefined, 20],
  ['Pow', 'z = Pow (c, k)', 'float k = {2}'],
  ['Max', 'z = Max (c, k)', 'float k = {0.1}'],
  [
    'Pad',
    'p = Pad (c, k)  z = Slice (p, s, e, a)',
    'int64[8] k = {0,0,0,0,0,0,0,1}, int64[1] s = {0}, int64[1] e = {8}, int64[1] a = {3}',
  ],
  ['Resize, linear', 'z = Resize <mode = "linear"> (c, , k)', 'float[4] k = {1,1,1,1}'],
];

describe('what stays in float between two integer convolutions', () => {
  for (const [op, body, constants, opset = 13] of floats) {
    it(op, async () => {
      const text = head(
        opset,
        `g (${image} x) => (${imageOut} y) <${[c1, c2, ...(constants ? [constants] : [])].join(', ')}> { ${conv1}  ${body}  ${conv2('z')} }`,
      );
      const { audit, after, problems, counts, db, skips } = await fused(text);
      expect(problems).toEqual([]);
      expect(counts.weighted).toBe(2);
      expect(audit.fusedOps.QLinearConv).toBe(2);
      // One DequantizeLinear in front of each that is in float, one QuantizeLinear behind.
      expect(audit.leftoverQdq).toBe(op.includes('two readers') ? 3 : 2);
      // The runtime takes a HardSwish apart, into a Mul among others.
      const own = op === 'HardSwish' ? ['Mul'] : [op];
      expect(audit.findings.filter((finding) => !own.includes(finding.op))).toEqual([]);
      expect([...after.graph.nodes].filter((node) => node.op === 'QuantizeLinear')).toHaveLength(4);
      const why = skips.filter((skip) => skip.startsWith('compute'));
      expect(why.join('\n')).toMatch(/has no integer|interpolates|nothing that reads|computed in float/);
      expect(db).toBeGreaterThan(op === 'Pow' ? 15 : 22);
    });
  }
});
