import { cloneModel } from '../../src/ir/clone.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../src/ir/sort.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy, type PassContext } from '../../src/pass/pass.ts';
import { isKept, reportUnmatched } from '../../src/rewrite/keep.ts';
import { type Block, residualBlocks } from './blocks.ts';
import { repair } from './carry-out.ts';
import { type Gate, GateMeter, sizeOf } from './gates.ts';
import { leaveOut, removeDead } from './leave-out.ts';
import { isLinear, layersBehind } from './repair/behind.ts';
import type { Narrowed } from './repair/repair.ts';
import { repairMethodHelp, repairMethods } from './repair/solve.ts';

const options = {
  count: opt.int(1, 'blocks that go', { min: 1 }),
  unit: opt.choice(
    ['layer', 'sublayer'],
    'layer',
    'an attention with what follows it up to the next, or every residual sum by itself',
  ),
  samples: opt.int(32, 'samples to measure on', { min: 1 }),
  repair: opt.boolean(false, 'fit the layers behind to what the model as it was gave (takes --data)'),
  repairBy: opt.choice(repairMethods, 'weights', repairMethodHelp),
  keep: opt.list([], 'names of nodes, or operators, whose blocks stay'),
} as const;

/** Where the number of blocks that went is kept, so that dropping twice is dropping once. */
const key = 'mlpack.dropped-layers';

/** Whole residual blocks that the outputs miss least. */
export const dropLayers = definePass({
  id: 'drop-layers',
  summary: 'Leave out whole residual blocks (transformer layers), those that the outputs miss least, by measuring',
  options,
  rules: {
    'drop-layer': 'A block was left out',
    blocks: 'Blocks that have to stay',
    importance: 'How blocks were measured',
    repair: 'Layers were fitted to what the model as it was gave',
    keep: 'Names given with --keep that stand for nothing',
  },
  numerics: () => lossy(-60),
  async run(model, given, ctx) {
    reportUnmatched(model, given.keep, ctx);
    const before = Number(model.meta.get(key) ?? 0);
    if (before >= given.count) {
      ctx.skipped('blocks', 'model', `${before} blocks are gone already, as --count asks`);
      return { changed: false };
    }
    sortTopologically(model.graph);
    inferShapes(model);
    const found = residualBlocks(model, given.unit, (node, why) => ctx.skipped('blocks', node, why));
    const blocks = found.filter(({ sums }) => {
      const kept = sums.find((node) => isKept(node, given.keep));
      if (kept) ctx.skipped('blocks', kept, 'you asked for it to stay as it is (--keep)');
      return !kept;
    });
    const wanted = given.count - before;
    if (blocks.length <= wanted) {
      const why = `it has ${blocks.length} residual blocks that can go, and ${wanted} were to: one at least must stay`;
      ctx.skipped('blocks', 'model', why);
      return { changed: false };
    }
    const dropped = await chooseBlocks(model, blocks, wanted, given.samples, ctx);
    const original = given.repair ? cloneModel(model) : undefined;
    // What read the outputs of a block is given something else.
    const hit = new Set(dropped.flatMap(({ block }) => [...block.to.readers]));
    const instead = new Map<Value, Value>();
    for (const { block, loss } of dropped) {
      const cost =
        loss === undefined ? '' : `; the outputs lose ${loss.toPrecision(2)} with it gone beside those before`;
      leaveOut(block, instead, cost, ctx);
    }
    model.meta.set(key, String(given.count));
    removeDead(model);
    if (original) await repair(original, model, behind(model, hit), given.repairBy, ctx);
    return { changed: true };
  },
});

interface Dropped {
  readonly block: Block;
  /** At the outputs, with the blocks dropped before it gone, too. */
  readonly loss: number | undefined;
}

/** One by one the block that costs least beside those that went before. */
async function chooseBlocks(
  model: Model,
  blocks: readonly Block[],
  count: number,
  samples: number,
  ctx: PassContext,
): Promise<Dropped[]> {
  if (!ctx.judge) {
    ctx.skipped('importance', 'model', 'nothing to measure with: the last blocks but one go');
    return blocks.slice(-1 - count, -1).map((block) => ({ block, loss: undefined }));
  }
  const gates = blocks.map(({ from, to }): Gate => ({ kind: 'bypass', from, to }));
  const judge = await ctx.judge(model);
  try {
    if (judge.source === 'synthetic')
      ctx.skipped(
        'importance',
        'model',
        'blocks are measured on made-up inputs, which say little of real ones: give samples with --data',
      );
    const meter = await GateMeter.of(judge, model, gates, samples);
    try {
      return await greedily(blocks, count, meter, ctx);
    } finally {
      await meter.dispose();
    }
  } finally {
    await judge.dispose();
  }
}

async function greedily(
  blocks: readonly Block[],
  count: number,
  meter: GateMeter,
  ctx: PassContext,
): Promise<Dropped[]> {
  const off = new Map<number, Float32Array>();
  const dropped: Dropped[] = [];
  while (dropped.length < count) {
    let best: { index: number; loss: number } | undefined;
    for (const index of blocks.keys()) {
      if (off.has(index)) continue;
      ctx.signal.throwIfAborted();
      ctx.progress?.(`block ${dropped.length + 1} of ${count}: without ${index + 1}`);
      const loss = sizeOf(await meter.loss(new Map(off).set(index, Float32Array.of(0))));
      if (!best || loss < best.loss) best = { index, loss };
    }
    if (!best) break;
    off.set(best.index, Float32Array.of(0));
    dropped.push({ block: blocks[best.index] as Block, loss: best.loss });
  }
  return dropped;
}

/** Layers that what went can be made up for in: each of them sees other numbers than it did. */
function behind({ graph }: Model, hit: ReadonlySet<Node>): Narrowed[] {
  const first = [...hit].filter((node) => !node.removed);
  const nodes = new Set([...first.filter(isLinear), ...layersBehind(graph, first)]);
  return [...graph.nodes].flatMap((node) => (nodes.has(node) ? [{ node, outputs: undefined }] : []));
}
