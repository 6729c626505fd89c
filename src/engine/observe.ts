import { isCastable } from '../data/cast.ts';
import { cloneModel } from '../ir/clone.ts';
import { valuesByName } from '../ir/cut.ts';
import { byteSize, type DType, dtypeKind } from '../ir/dtype.ts';
import { graphsBelow, type Model, type Value } from '../ir/graph.ts';
import { upgradeOpset } from '../ir/opset-upgrade.ts';
import type { Tensor } from '../ir/tensor.ts';
import { adaptFeeds, type FeedBatch, type FeedBatches } from './compare.ts';
import { expose, exposureProblem } from './expose.ts';
import { Garbage } from './garbage.ts';
import { openModel } from './open-model.ts';
import { canExchange } from './ort-tensor.ts';
import type { OptimizationLevel, Session } from './session.ts';

/** Inner values of one inference are held together up to this size; more values take more runs over the data. */
const memoryBudget = 256e6;
/**
 * Where a batch of one sample needs less, batches are made larger, up to this size. (Percentiles of ResNet-20, the whole command: 0.62 s with 4e6
 * and with 16e6, at most 171 and 234 MB.)
 */
const batchBudget = 4e6;
/** From so many values on, their size is estimated before all are fetched at once. */
const probeFrom = 16;

export interface ObserveOptions {
  readonly signal?: AbortSignal | undefined;
  /** `visit` is done with a tensor when it returns, and does not mind the last digits: the runtime optimizes what it can around the values. */
  readonly passing?: boolean;
  /** Gets each batch, too, once; also where no value is named. */
  readonly visitFeeds?: (batch: FeedBatch) => void;
}

/** Reads the samples, so many at a time where the model leaves that open; by default as many as the data set has it. */
export type ReadBatches = (batch?: number) => FeedBatches;

/**
 * Values that can be observed: made by nodes of the main graph or of branches and bodies, or inputs of these, of a type that the
 * runtime hands out (or of unknown type: the runtime then knows it).
 */
export function observable(values: Iterable<Value>): Value[] {
  const chosen: Value[] = [];
  for (const value of values) {
    if (!value.name || value.producer?.op === 'Constant' || value.initializer) continue;
    if (!value.producer && (!value.isGraphInput || !value.graph.ownerNode)) continue;
    if (exposureProblem(value)) continue;
    const { type } = value;
    if (type && type.kind !== 'tensor') continue;
    if (type && (!canExchange(type.dtype) || dtypeKind(type.dtype) === 'string')) continue;
    chosen.push(value);
  }
  return chosen;
}

/**
 * A session on a copy of the model with these values as outputs too, its optimizer off (by default) so that they are computed as
 * written. The model itself stays as it is. Names must be unique over all graphs; values of Loop and Scan bodies come with one more
 * dimension, the turns, and those of branches not taken without elements.
 */
export async function openObserved(
  model: Model,
  names: readonly string[],
  graphOptimizationLevel: OptimizationLevel = 'disabled',
): Promise<Session> {
  const copy = cloneModel(model);
  const asIs = branchesOfOneShape(copy);
  const byName = new Map<string, Value>();
  for (const graph of graphsBelow(copy.graph)) {
    if (graph !== copy.graph) for (const input of graph.inputs) byName.set(input.name, input);
    for (const node of graph.nodes) for (const output of node.outputs) if (output) byName.set(output.name, output);
  }
  for (const name of names) {
    const value = byName.get(name);
    if (value && !(asIs && isInBranch(value))) expose(value, name);
  }
  return await openModel(copy, { graphOptimizationLevel, label: 'the model with inner values as outputs' });
}

/** The first opset whose If may have outputs of one shape in one branch and of another in the other. */
const unionOpset = 11;

/** Whether branches have to give outputs of the same shape, though the copy was raised to a newer opset where that can be. */
function branchesOfOneShape(copy: Model): boolean {
  if (copy.opset >= unionOpset || ![...graphsBelow(copy.graph)].some((graph) => graph.ownerNode?.is('If')))
    return false;
  return upgradeOpset(copy, unionOpset) !== undefined;
}

function isInBranch(value: Value): boolean {
  for (let owner = value.graph.ownerNode; owner; owner = owner.graph.ownerNode) if (owner.is('If')) return true;
  return false;
}

/** Those of the names that this session can hand out: types that were unknown to us are known to the runtime. */
export function fetchable(session: Session, names: readonly string[]): string[] {
  const types = new Map(session.outputs.map((output) => [output.name, output.dtype]));
  return names.filter((name) => isCastable(types.get(name) ?? ''));
}

/**
 * Runs the batches through the model and hands every value of every batch to `visit`. Values are fetched in groups
 * that fit the memory budget; with more than one group the batches are read once for each.
 * @throws UserError when the model cannot be run on the batches.
 */
export async function observe(
  model: Model,
  names: readonly string[],
  batches: ReadBatches,
  visit: (name: string, tensor: Tensor, size: number) => void | Promise<void>,
  options: ObserveOptions = {},
): Promise<void> {
  const garbage = options.passing ? new Garbage() : undefined;
  try {
    await observeAll(model, names, batches, visit, options, garbage);
  } finally {
    garbage?.end();
  }
}

async function observeAll(
  model: Model,
  names: readonly string[],
  batches: ReadBatches,
  visit: (name: string, tensor: Tensor, size: number) => void | Promise<void>,
  options: ObserveOptions,
  garbage: Garbage | undefined,
): Promise<void> {
  const { passing = false, signal } = options;
  let visitFeeds = options.visitFeeds;
  if (names.length === 0) {
    if (!visitFeeds) return;
    for await (const batch of batches()) {
      signal?.throwIfAborted();
      visitFeeds(batch);
      garbage?.drop(batch.feeds.values());
    }
    return;
  }
  const bytes = await bytesPerInference(model, names, batches);
  const batch = batchFor(bytes);
  for (const group of split(names, bytes)) {
    const session = await openObserved(model, group, passing ? 'all' : 'disabled');
    const wanted = fetchable(session, group);
    try {
      for await (const taken of batches(batch)) {
        signal?.throwIfAborted();
        const outputs = await session.run(adaptFeeds(taken.feeds, session.inputs), wanted);
        for (const [name, tensor] of outputs) await visit(name, tensor, taken.size);
        visitFeeds?.(taken);
        garbage?.free(outputs.values());
        garbage?.drop(taken.feeds.values());
      }
    } finally {
      await session.dispose();
    }
    visitFeeds = undefined;
  }
}

/** Splits the values so that one group's tensors fit the budget; sizes are estimated from values spread over the model. */
export async function groupsOf(
  model: Model,
  names: readonly string[],
  batches: () => FeedBatches,
): Promise<string[][]> {
  return split(names, names.length <= probeFrom ? 0 : await bytesPerInference(model, names, batches));
}

/** What all these values take together for one sample: by their shapes, or by what values spread over the model take on the first. */
async function bytesPerInference(model: Model, names: readonly string[], batches: ReadBatches): Promise<number> {
  if (names.length === 0) return 0;
  const declared = await bytesByShape(model, names, batches);
  if (declared !== undefined) return declared;
  const step = Math.max(1, names.length / probeFrom);
  const picked = Array.from(
    { length: Math.min(probeFrom, names.length) },
    (_, index) => names[Math.floor(index * step)] ?? '',
  );
  const session = await openObserved(model, picked);
  let bytes = 0;
  try {
    for await (const { feeds } of batches(1)) {
      const outputs = await session.run(adaptFeeds(feeds, session.inputs), fetchable(session, picked));
      for (const tensor of outputs.values()) bytes += tensor.byteLength;
      break;
    }
  } finally {
    await session.dispose();
  }
  return (bytes / picked.length) * names.length;
}

/** Only where nothing but first extents are open, which are then as large as the largest that comes in. */
async function bytesByShape(model: Model, names: readonly string[], batches: ReadBatches): Promise<number | undefined> {
  const values = valuesByName(model.graph);
  const sizes: { readonly dtype: DType; readonly known: number; readonly open: boolean }[] = [];
  for (const name of names) {
    const { shape, dtype } = values.get(name) ?? {};
    if (!shape || dtype === undefined || shape.some((extent, axis) => axis > 0 && typeof extent !== 'number'))
      return undefined;
    const known = shape.reduce(
      (product: number, extent) => (typeof extent === 'number' ? product * extent : product),
      1,
    );
    sizes.push({ dtype, known, open: typeof shape[0] !== 'number' && shape.length > 0 });
  }
  let first = 1;
  for await (const { feeds } of batches(1)) {
    for (const { shape } of feeds.values()) first = Math.max(first, shape[0] ?? 1);
    break;
  }
  return sizes.reduce((sum, { dtype, known, open }) => sum + byteSize(dtype, known * (open ? first : 1)), 0);
}

function split(names: readonly string[], bytes: number): string[][] {
  const perGroup = Math.max(1, Math.floor((memoryBudget / Math.max(1, bytes)) * names.length));
  const groups: string[][] = [];
  for (let start = 0; start < names.length; start += perGroup) groups.push(names.slice(start, start + perGroup));
  return groups;
}

/** Samples a batch; undefined: as many as the data set likes, which are never more than a hundred or so. */
function batchFor(bytes: number): number | undefined {
  const fit = Math.floor(batchBudget / Math.max(1, bytes));
  return fit >= 128 ? undefined : Math.max(1, Math.min(fit, 32));
}
