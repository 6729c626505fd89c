import { windowOf } from '../../src/kernels/balance.ts';
import { allFinite, axisView } from '../../src/kernels/quantize.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { constantCopyRule, readThroughCopies } from '../../src/rewrite/constant-copies.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { floatWeights, noBroadcast } from '../quantize/linear.ts';
import { channelScales, cluster, whole } from './clustered.ts';
import { storePalette, storeValues } from './palette.ts';
import { weightTables } from './tables.ts';

const options = {
  bits: opt.choice([2, 3, 4, 5, 6, 7, 8], 4, 'palettes of 2^bits values'),
  per: opt.choice(
    ['channel', 'scaled', 'tensor'],
    'channel',
    'a palette for each output channel (the most exact at 4 bits on six of six models; scaled where channels are short), one for all with a factor for each channel (scaled), or one alone',
  ),
  store: opt.choice(
    ['palette', 'tensor'],
    'palette',
    'palette: a byte for each weight and a Gather, which ONNX Runtime does once, at load · tensor: floats of few values, as large as before and compressible, for runtimes that cannot do that',
  ),
  minElements: opt.int(1024, 'leave weights with fewer elements whole', { min: 0 }),
  keep: opt.list([], 'names of nodes, or operators, whose weights stay whole'),
} as const;

/** Tables with shorter rows hold angles of positions more often than meanings of words: clustering those of the shared language model doubles its perplexity. */
const shortRow = 48;

/** Decibels that clustering keeps at the outputs of small networks, the hardest case. */
const floor = { 2: -20, 3: -10, 4: 0, 5: 5, 6: 10, 7: 15, 8: 20 } as const;

/** Shared values for weights: a small download whatever the operator, at the speed and in the memory of floats. */
export const clusterWeights = definePass({
  id: 'cluster-weights',
  summary:
    'Weights share 4 to 256 values (k-means): a byte each and less when compressed; computed with as floats, so no faster',
  options,
  rules: {
    ...constantCopyRule,
    palette: 'Weights are stored as numbers of a palette, looked up once at load',
    values: 'Weights take few values, and compress',
    keep: 'Names given with --keep that stand for nothing',
    speed: 'What clustering does to speed',
  },
  numerics: ({ bits }) => lossy(floor[bits]),
  run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    const copies = readThroughCopies(model, ctx);
    const rule = given.store === 'palette' ? 'palette' : 'values';
    const tables = weightTables(
      model,
      given.minElements,
      (node) => isKept(node, given.keep),
      (node, why) => ctx.skipped(rule, node, why),
    );
    const count = 2 ** given.bits;
    let changed = false;
    for (const table of tables) {
      ctx.signal.throwIfAborted();
      const { value, tensor, node, elements } = table;
      const data = floatWeights(tensor) ?? new Float32Array();
      if (!allFinite(data)) {
        ctx.skipped(rule, node, `its weights "${value.name}" hold NaN or infinite numbers`);
        continue;
      }
      const view = axisView(tensor.shape, table.axis);
      const channels = given.per === 'channel' && elements / view.channels >= 2 * count ? view.channels : 1;
      const row = elements / view.channels;
      if (node.is('Gather') && row < shortRow) {
        ctx.skipped(
          rule,
          node,
          `its rows "${value.name}" have ${row} numbers: a table of positions or angles rather than an embedding, and those must be exact`,
        );
        continue;
      }
      if (elements < 2 * count) {
        ctx.skipped(
          rule,
          node,
          `its weights "${value.name}" have ${elements} elements for a palette of ${count}: nothing would be shared (fewer --bits)`,
        );
        continue;
      }
      const old = noBroadcast(model.opset);
      if (old && given.store === 'palette' && (channels > 1 || given.per !== 'tensor')) {
        ctx.skipped(rule, node, `${old}, or use --per tensor`);
        continue;
      }
      const scales = given.per === 'tensor' || channels > 1 ? undefined : channelScales(data, view);
      const clustered = cluster(
        data,
        channels > 1 ? view : whole(elements),
        count,
        scales,
        node.is('Conv') ? windowOf(tensor.shape) : 1,
      );
      if (clustered.noise === 0 && given.store === 'tensor') continue;
      if (given.store === 'palette') storePalette(table, clustered, channels);
      else storeValues(table, clustered);
      changed = true;
      const db =
        clustered.noise === 0 ? 'exact' : `${(10 * Math.log10(clustered.signal / clustered.noise)).toFixed(1)} dB`;
      ctx.applied(
        rule,
        node,
        `"${value.name}": ${count} values${channels > 1 ? ` for each of ${channels} channels` : ''}, ${db}`,
      );
    }
    if (changed)
      ctx.skipped(
        'speed',
        'model',
        given.store === 'palette'
          ? 'ONNX Runtime looks the weights up once, at load, and computes in floats: a smaller file, not faster inference; runtimes that do not fold constants look them up on every run (--store tensor)'
          : 'the weights are floats as before: a smaller file once compressed, not faster inference',
      );
    return { changed: copies || changed };
  },
});
