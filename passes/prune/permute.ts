import { graphsBelow, type Model } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { isNofM } from '../../src/kernels/mask.ts';
import { searchOrder } from '../../src/kernels/permute.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import type { PassContext } from '../../src/pass/pass.ts';
import { addConstant } from '../../src/rewrite/edit.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';
import { type Chain, readChain } from '../repair/chain.ts';
import { type Layer, storeLayer, tooOld } from '../repair/layer.ts';
import { chainReading } from '../repair/reading.ts';

/** Entries that the search for one layer looks at, at most: about a second. */
const work = 1e8;
/** An order that keeps less than this more is no change worth writing. */
const leastGain = 1e-3;

/**
 * Reorders the channels between two layers so that N of M of the second's weights keep more: the outputs of the first layer and the
 * inputs of the second change places together, and the model computes the same. @returns whether anything did
 */
export function permuteChannels(
  model: Model,
  { n, m }: { readonly n: number; readonly m: number },
  { keep, minElements }: { readonly keep: readonly string[]; readonly minElements: number },
  ctx: PassContext,
): boolean {
  if (tooOld(model.opset)) return false;
  const { read, site } = chainReading(model, keep);
  const touched = new Set<Layer>();
  for (const graph of graphsBelow(model.graph)) {
    for (const node of graph.nodes) {
      const chain = readChain(node, site, read);
      if (chain === undefined || (typeof chain !== 'string' && chain.second.data.length < minElements)) continue;
      const why = typeof chain === 'string' ? chain : unfit(chain, m);
      if (why !== undefined) ctx.skipped('permute', node, why);
      else if (reorder(chain as Chain, n, m, ctx)) touched.add((chain as Chain).first).add((chain as Chain).second);
    }
  }
  for (const layer of touched) storeLayer(layer);
  return touched.size > 0;
}

function unfit({ first, second, spread, middle }: Chain, m: number): string | undefined {
  if (first.node.int('group', 1) > 1 || second.node.int('group', 1) > 1)
    return 'one of the two layers works in groups, which channels cannot leave';
  if (spread > 1) return `${second.node} reads several values of each channel`;
  if (second.inputs < 2 * m)
    return `${second.node} reads ${second.inputs} channels: no two groups of ${m} to choose between`;
  // Slopes of a PRelu would have to change places too.
  for (
    let value = middle;
    value.consumers[0] && value.consumers[0] !== second.node;
    value = value.consumers[0].output()
  )
    if (value.consumers[0].is('PRelu'))
      return `${value.consumers[0]} stands between, with slopes of its own for each channel`;
  return undefined;
}

function reorder(chain: Chain, n: number, m: number, ctx: PassContext): boolean {
  const { first, second, addends } = chain;
  const { a, b, inner, data, inputs } = second;
  const byColumns = b === inputs && second.input(0, 1) === 1;
  // [outputs · kernel, inputs]; patterns run along the inputs, kernel elements by themselves.
  const view = byColumns ? { outer: a, length: b, inner } : { outer: 1, length: a, inner: b * inner };
  if (isNofM(data, view, n, m)) return false;
  const rows = data.length / inputs;
  const magnitudes = new Float32Array(data.length);
  for (let o = 0; o < view.outer; o++)
    for (let c = 0; c < view.length; c++)
      for (let i = 0; i < view.inner; i++)
        magnitudes[(o * view.inner + i) * inputs + c] = Math.abs(
          data[(o * view.length + c) * view.inner + i] as number,
        );
  const { order, before, after } = searchOrder(magnitudes, inputs, n, m, work, randomNumbers(ctx.seed + rows));
  if (!(after > before * (1 + leastGain))) return false;
  permute(second, order, 'input');
  permute(first, order, 'output');
  if (first.bias) first.bias = Float32Array.from(order, (from) => (first.bias as Float32Array)[from] as number);
  for (const { node, index, numbers, tail } of addends) {
    const old = node.input(index);
    const shape = [inputs, ...Array.from({ length: tail }, () => 1)];
    const moved = Float32Array.from(order, (from) => numbers[from] as number);
    node.setInput(index, addConstant(node, old?.name ?? 'addend', tensorFrom('float32', shape, moved)));
    releaseConstant(old);
  }
  ctx.applied(
    'permute',
    first.node,
    `with ${second.node}: ${((100 * after) / before - 100).toFixed(1)} % more of the magnitude of its weights stays`,
  );
  return true;
}

/** Weights with their channels in this order, along one side. */
function permute(layer: Layer, order: Int32Array, side: 'input' | 'output'): void {
  const { a, b, inner, data } = layer;
  const channel = layer[side];
  const alongA = a > 1 && channel(1, 0) === 1;
  const moved = new Float32Array(data.length);
  for (let i = 0; i < a; i++)
    for (let j = 0; j < b; j++) {
      const [from, to] = alongA ? [order[i] as number, j] : [i, order[j] as number];
      moved.set(data.subarray((from * b + to) * inner, (from * b + to + 1) * inner), (i * b + j) * inner);
    }
  layer.data = moved;
}
