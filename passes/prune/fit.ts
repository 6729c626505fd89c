import type { Model } from '../../src/ir/graph.ts';
import { countZeros } from '../../src/kernels/mask.ts';
import type { PassContext, StandIns } from '../../src/pass/pass.ts';
import { beyondBudget, bytesToFit, checkMemory, gptqCost, rowsOf } from '../quantize/fit-cost.ts';
import { products } from '../quantize/weight-only/product.ts';
import { type BiasSlot, biasSlot, movedBias, withdrawBias } from './bias.ts';
import { type FitLayer, fitLayer } from './fit-layer.ts';
import { fitWeights, type ScoreName } from './fit-weights.ts';
import type { Cut } from './pattern.ts';
import { putConstant, shareOf } from './store.ts';
import type { PruneTarget } from './targets.ts';

/** Seconds of processor time for each k²·n: removal and twenty steps of refitting, twice. */
const perWeight = 2e-9;

/**
 * Prunes by what layers see, one after the other, each behind those that were pruned before it. Layers whose inputs are not
 * observed, or too costly where nobody asked by name, are left to others, with the reason.
 * @returns the targets that are done
 */
export async function fitByData(
  model: Model,
  todo: ReadonlyMap<PruneTarget, Cut>,
  asked: ScoreName | 'auto',
  ctx: PassContext,
): Promise<ReadonlySet<PruneTarget>> {
  const done = new Set<PruneTarget>();
  const { activations } = ctx;
  if (!activations || todo.size === 0) return done;
  const score = asked === 'auto' || asked === 'magnitude' ? 'sparsegpt' : asked;
  const layers = new Map<FitLayer['request'], FitLayer>();
  for (const target of todo.keys()) {
    const layer = fitLayer(target, model);
    if (typeof layer === 'string') ctx.skipped('fitted', target.node, layer);
    else layers.set(layer.request, layer);
  }
  if (asked === 'auto')
    for (const [request, why] of tooCostly(layers, activations.samples)) {
      const layer = layers.get(request);
      if (layer) ctx.skipped('fitted', layer.target.node, `${why}: by magnitude`);
      layers.delete(request);
    }
  else
    for (const { k, target } of layers.values())
      checkMemory(
        'gptq',
        `"${target.node}"`,
        k,
        ctx.compute.freeBytes?.(),
        'Leave it whole with --keep, or use --score magnitude.',
      );
  const slots = new Map<FitLayer, BiasSlot>();
  for (const layer of layers.values()) {
    const { node, tensor } = layer.target;
    // Biases are float32, and half a layer in another type loads nowhere.
    const slot = score === 'sparsegpt' && tensor.dtype === 'float32' ? biasSlot(node, layer.n, model.opset) : undefined;
    if (slot) slots.set(layer, slot);
  }
  const product = products(ctx.compute);
  const changes: (() => void)[] = [];
  await activations.layers.inOrder(model, [...layers.keys()], async (request, grams) => {
    const layer = layers.get(request);
    const cut = layer && todo.get(layer.target);
    if (!layer || !cut) return undefined;
    ctx.signal.throwIfAborted();
    ctx.progress?.(`${layer.target.node}`);
    const slot = slots.get(layer);
    const answer = await fitWeights(layer, grams, cut, score, slot !== undefined, product);
    if ('why' in answer) {
      ctx.skipped('fitted', layer.target.node, answer.why);
      return undefined;
    }
    const { best, plain, signal } = answer;
    const { value, node, elements } = layer.target;
    const weights = layer.stored(best.rows);
    const standIns = new Map([[value, weights]]);
    changes.push(() => putConstant(value, weights));
    if (slot && best.bias.some((b) => b !== 0)) {
      const bias = movedBias(
        slot,
        best.bias.map((b) => b * layer.alpha),
      );
      standIns.set(slot.value, bias);
      changes.push(() => putConstant(slot.value, bias));
    }
    const against = best === plain ? '' : `, magnitude ${decibels(signal, plain.noise)}`;
    ctx.applied(
      'fitted',
      node,
      `"${value.name}": ${shareOf(countZeros(best.rows), elements)}, ${best.name} (${decibels(signal, best.noise)} on rows it was not fitted to${against})`,
    );
    done.add(layer.target);
    return standIns satisfies StandIns;
  });
  for (const change of changes) change();
  for (const slot of slots.values()) withdrawBias(slot);
  return done;
}

function tooCostly(
  layers: ReadonlyMap<FitLayer['request'], FitLayer>,
  samples: number,
): Map<FitLayer['request'], string> {
  const costs = new Map(
    [...layers].map(([request, { k, n, groups }]) => {
      const rows = 'groups' in request ? Math.max(4096, 8 * k) : rowsOf(samples, request.value.shape);
      const { seconds } = gptqCost({ k, outputs: n / groups, rows, factorizations: 1, perWeight });
      return [request, { k, seconds: groups * seconds, bytes: bytesToFit('gptq', k) + 4 * groups * k * k }];
    }),
  );
  return beyondBudget(costs, '--score sparsegpt');
}

const decibels = (signal: number, noise: number): string =>
  noise === 0 ? 'exact' : `${(10 * Math.log10(signal / noise)).toFixed(1)} dB`;
