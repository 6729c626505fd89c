import { expect, it } from 'vitest';
import { applyAssignment } from '../../../../passes/quantize/mixed/assign.ts';
import { findLayers } from '../../../../passes/quantize/mixed/layers.ts';
import { quantizeStatic } from '../../../../passes/quantize/quantize-static.ts';
import { quantizeWeights } from '../../../../passes/quantize/quantize-weights.ts';
import type { Model } from '../../../../src/ir/graph.ts';
import { parseModel } from '../../../../src/ir/text/parse.ts';
import { resolveOptions } from '../../../../src/pass/resolve-options.ts';
import { TestContext } from '../../../support/context.ts';

const model = (): Model =>
  parseModel(`<ir_version: 8, opset_import: ["" : 17]>
    g (int64[n] ids) => (float[n,40] y) <float[40,64] table = random(1), float[64,64] w = random(2)> {
      h = Gather (table, ids)  z = MatMul (h, w)  t = Transpose <perm = [1, 0]> (table)  y = MatMul (z, t)
    }`);

const { calibrate, cpu } = resolveOptions(quantizeStatic, {});
const { block, method } = resolveOptions(quantizeWeights, { method: 'kquant' });
const options = { calibrate, cpu, place: 'all', block, method } as const;

it('an embedding that shares its table is decided on with its output layer, in whose format both are stored', async () => {
  expect(findLayers(model(), new Set()).map(({ id }) => id)).toEqual(['z', 'y']);
  for (const [format, codes] of [
    ['int4', 'table_q4'],
    ['int8-weights', 'table_q8'],
    ['int8-dynamic', 'table_quantized'],
  ] as const) {
    const own = model();
    const other = format === 'int8-dynamic' ? 'int4' : 'int8-dynamic';
    await applyAssignment(
      own,
      new Map([
        ['z', other],
        ['y', format],
      ]),
      [],
      options,
      new TestContext(),
    );
    const names = [...own.graph.initializers].map(({ name }) => name);
    expect(names, format).not.toContain('table');
    expect(
      names.filter((name) => name.startsWith('table_q') && !name.endsWith('shape')),
      format,
    ).toEqual([codes]);
  }
});
