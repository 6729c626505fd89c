import { constantOf } from '../../../src/ir/constant.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';
import type {
  Activations,
  Clip,
  Gram,
  PairRequest,
  PairSampling,
  PassContext,
  StandIns,
} from '../../../src/pass/pass.ts';
import { boundsOf } from '../../fuse/bounds.ts';
import { type Products, products } from '../../quantize/weight-only/product.ts';
import type { Coupling } from '../coupling/analyze.ts';
import { keptBy } from '../coupling/apply.ts';
import { putConstant } from '../store.ts';
import { isLinear, layersBehind } from './behind.ts';
import { type Reader, readReader } from './reader.ts';
import { coarseDampings, fitWeights, type RepairMethod } from './solve.ts';

/** A layer to be fitted, and which of the channels that it gave it still gives (all where undefined). */
export interface Narrowed {
  readonly node: Node;
  readonly outputs: readonly number[] | undefined;
}

/** Which layers are fitted: those that read fewer channels, or all that see what these give, too. */
export const reaches = ['behind', 'readers'] as const;
export type Reach = (typeof reaches)[number];

/**
 * Layers to be fitted, in the order of the model; to be asked before anything is removed.
 * @param hit nodes that read something else once whole blocks are gone
 */
export function narrowedBy(
  coupling: Coupling,
  removed: ReadonlySet<number>,
  reach: Reach,
  hit: Iterable<Node> = [],
): Narrowed[] {
  const kept = keptBy(coupling, removed);
  const { graph } = coupling.model;
  const nodes = new Set<Node>([...hit].filter(isLinear));
  for (const axis of coupling.book.axes)
    if (kept(axis)) for (const { node, role } of axis.roles) if (role === 'in') nodes.add(node);
  if (reach === 'behind') for (const node of layersBehind(graph, [...nodes, ...hit])) nodes.add(node);
  return [...graph.nodes].flatMap((node) => {
    if (!nodes.has(node)) return [];
    const own = coupling.slotsOf(node).output();
    return [{ node, outputs: kept(own?.axes[node.is('Conv') ? 1 : own.axes.length - 1]) }];
  });
}

/** With fewer rows of data than these to fit to, or as few to judge by, a layer stays as it was cut. */
const leastRows = 64;
const leastHeldOut = 16;
/** Sums over more inputs do not fit well beside everything else: 4608 take 85 MB as sums and 340 MB inverted. */
export const mostInputs = 6144;

/**
 * Fits layers to what the model as it was gave in their place, one after the other, each behind those that were fitted before it. Weights change in place.
 * @param method see `fitWeights`
 */
export async function repairReaders(
  original: Model,
  model: Model,
  narrowed: readonly Narrowed[],
  activations: Activations,
  method: RepairMethod,
  ctx: PassContext,
  sampling?: PairSampling,
): Promise<void> {
  const readers = new Map<PairRequest, Reader>();
  for (const { node, outputs } of narrowed) {
    const reader = readReader(node, true);
    if (typeof reader === 'string') ctx.skipped('repair', node, reader);
    else if (reader.k > mostInputs)
      ctx.skipped(
        'repair',
        node,
        `it reads ${reader.k} inputs, more than the ${mostInputs} that are fitted in minutes`,
      );
    else readers.set(requestOf(reader, outputs, model.opset), reader);
  }
  if (readers.size === 0) return;
  const by = products(ctx.compute);
  await activations.layers.pairs(
    original,
    model,
    [...readers.keys()],
    async (request, grams) => {
      const reader = readers.get(request);
      return reader && (await fitReader(reader, grams, method, by, ctx, sampling && coarseDampings, request.clip));
    },
    sampling,
  );
}

function requestOf(reader: Reader, channels: readonly number[] | undefined, opset: number): PairRequest {
  const { output, input, n } = reader;
  const joined = joinedTo(output);
  const clip = clipBehind(joined ? output.consumers[0]?.output() : output, opset);
  return { input, target: output.name, channels, outputs: n, joined, clip };
}

/** What the only reader of a value clips it to. */
function clipBehind(value: Value | undefined, opset: number): Clip | undefined {
  const [reader] = value?.consumers ?? [];
  if (!value || !reader || value.useCount !== 1 || value.isGraphOutput) return undefined;
  if (!reader.is('Relu') && !reader.is('Clip')) return undefined;
  const bounds = boundsOf(reader, opset);
  return typeof bounds === 'string' ? undefined : bounds;
}

/** The sum of a residual connection that the output alone goes into. */
export function joinedTo(output: Value): PairRequest['joined'] {
  const [add] = output.consumers;
  if (!add?.is('Add') || output.useCount !== 1 || output.isGraphOutput || add.graph !== output.graph) return undefined;
  const minus = add.input(add.input(0) === output ? 1 : 0);
  if (!minus || minus === output || constantOf(minus) || minus.initializer) return undefined;
  return { name: add.output().name, minus };
}

async function fitReader(
  reader: Reader,
  grams: readonly Gram[],
  method: RepairMethod,
  by: Products,
  ctx: PassContext,
  damp: readonly number[] | undefined,
  clip: Clip | undefined,
): Promise<StandIns | undefined> {
  const { node, n, k, groups, hasBias, weight, biasValue } = reader;
  const few = grams.find(({ rows, heldOutRows }) => rows < leastRows || heldOutRows < leastHeldOut);
  if (grams.length === 0 || few) {
    const rows = few ? few.rows + few.heldOutRows : 0;
    const why = `${rows} rows of data reach it, fewer than the ${leastRows + leastHeldOut} that a fit takes: it stays as it was cut (give more calibration samples)`;
    ctx.skipped('repair', node, why);
    return undefined;
  }
  if (method === 'bias' && !hasBias) {
    ctx.skipped('repair', node, 'it has no bias, and no Add of a constant behind it that could take one');
    return undefined;
  }
  const rows = reader.rows.slice();
  const bias = reader.bias.slice();
  const own = n / groups;
  let [before, after, damping] = [0, 0, 0];
  for (const [group, gram] of grams.entries()) {
    const part = {
      rows: rows.slice(group * own * k, (group + 1) * own * k),
      bias: bias.slice(group * own, (group + 1) * own),
    };
    const fitted = await fitWeights(
      part,
      gram,
      own,
      hasBias,
      method,
      by,
      () => ctx.signal.throwIfAborted(),
      damp,
      clip,
    );
    rows.set(fitted.rows, group * own * k);
    bias.set(fitted.bias, group * own);
    before += fitted.before / groups;
    after += fitted.after / groups;
    damping = Math.max(damping, fitted.damping ?? 0);
  }
  if (method !== 'statistics' && !(after < before)) {
    ctx.skipped('repair', node, `no fit gives less error than the weights as they were cut (${decibels(before)})`);
    return undefined;
  }
  const seen =
    (grams[0]?.rows ?? 0) < 4 * k ? `, with a ridge of ${damping}: ${grams[0]?.rows} rows are few for ${k} inputs` : '';
  const what = method === 'statistics' ? `${hasBias ? 'mean and ' : ''}deviation of ${n} outputs as they were: ` : '';
  ctx.applied(
    'repair',
    node,
    `${what}${decibels(before)} → ${decibels(after)} of its output, on rows it was not fitted to${seen}`,
  );
  const made = new Map<Value, Tensor>([[weight, reader.stored(rows)]]);
  if (biasValue) made.set(biasValue, reader.storedBias(bias));
  for (const [value, tensor] of made) putConstant(value, tensor);
  return made;
}

const decibels = (share: number): string => `${(-10 * Math.log10(Math.max(share, 1e-12))).toFixed(1)} dB`;
