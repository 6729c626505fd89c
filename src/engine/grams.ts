import { numbersOf } from '../data/cast.ts';
import { dtypeKind } from '../ir/dtype.ts';
import { Graph, Model, type Value } from '../ir/graph.ts';
import { type Tensor, tensorFrom, typedArray } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import type { Gram, GramRequest } from '../pass/pass.ts';
import { adaptFeeds, type FeedBatches } from './compare.ts';
import { fetchable, groupsOf, observable, openObserved } from './observe.ts';
import { openModel } from './open-model.ts';
import type { Session } from './session.ts';

/** Sums of squares are held together up to this size; more values take more runs over the data. */
const memoryBudget = 512e6;
/** Every so many-th stretch of rows is kept apart to judge by, thinned out to so many rows. */
const heldOutShare = 5;
const mostHeldOut = 1024;

/**
 * Xᵀ·X of the inputs of linear layers, over all rows of all batches. ONNX Runtime multiplies, in float32, some thousand
 * rows at a time. A fifth of the rows is left out of the sums and handed over as it is: the stretch of each batch that is
 * left out moves on from batch to batch, so that neither late tokens nor late samples are missing from either share.
 * Each result is handed to `visit` and then dropped.
 * @throws UserError when the model cannot be run on the batches.
 */
export async function gramsOf(
  model: Model,
  requests: readonly GramRequest[],
  batches: () => FeedBatches,
  visit: (value: Value, gram: Gram) => void | Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const squares = await openModel(squaresModel(), { label: 'the sums of squares' });
  try {
    for (const group of bySize(requests.filter(({ value }) => value.graph === model.graph))) {
      const sums = new Map(group.map(({ value, k }) => [value.name, { value, rows: new RowSums(k, squares) }]));
      const fed = group.filter(({ value }) => value.isGraphInput).map(({ value }) => value.name);
      const add = async (name: string, tensor: Tensor): Promise<void> => await sums.get(name)?.rows.add(tensor);
      if (fed.length > 0) {
        for await (const { feeds } of batches()) {
          signal?.throwIfAborted();
          for (const name of fed) {
            const tensor = feeds.get(name);
            if (tensor) await add(name, tensor);
          }
        }
      }
      const inner = observable(group.map(({ value }) => value)).map(({ name }) => name);
      for (const names of await groupsOf(model, inner, batches)) await observeInto(model, names, batches, add, signal);
      for (const [name, { value, rows }] of sums) {
        await visit(value, await rows.finish());
        sums.delete(name);
      }
    }
  } finally {
    await squares.dispose();
  }
}

async function observeInto(
  model: Model,
  names: readonly string[],
  batches: () => FeedBatches,
  add: (name: string, tensor: Tensor) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const session = await openObserved(model, names);
  const wanted = fetchable(session, names);
  try {
    for await (const { feeds } of batches()) {
      signal?.throwIfAborted();
      const outputs = await session.run(adaptFeeds(feeds, session.inputs), wanted);
      for (const [name, tensor] of outputs) await add(name, tensor);
    }
  } finally {
    await session.dispose();
  }
}

function* bySize(requests: readonly GramRequest[]): Generator<GramRequest[]> {
  let group: GramRequest[] = [];
  let bytes = 0;
  for (const request of requests) {
    const { k } = request;
    const size = 4 * k * (k + mostHeldOut + chunkRows(k));
    if (group.length > 0 && bytes + size > memoryBudget) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(request);
    bytes += size;
  }
  if (group.length > 0) yield group;
}

/** y = xᵀ·x */
export function squaresModel(): Model {
  const graph = new Graph('squares');
  const x = graph.addInput('x', tensorType('float32', ['rows', 'k']));
  const node = graph.append('Gemm', {
    inputs: [x, x],
    outputs: ['y'],
    attrs: { transA: 1 },
    types: [tensorType('float32', ['k', 'k'])],
  });
  graph.addOutput(node.output());
  return new Model(graph, 17, 8);
}

/** Rows that are multiplied at a time: 16 MB, a thousand at the most. */
export function chunkRows(k: number): number {
  return Math.max(16, Math.min(1024, Math.floor(4e6 / k)));
}

/** Sums of squares of rows [k] and the rows held out, fed tensor by tensor. */
export class RowSums {
  readonly #k: number;
  readonly #session: Session;
  readonly #chunk: Float32Array;
  readonly #sum: Float32Array;
  readonly #heldOut: Float32Array;
  #filled = 0;
  #rows = 0;
  #heldOutRows = 0;
  #heldOutSeen = 0;
  #stride = 1;
  #nonFinite = 0;
  #batches = 0;

  constructor(k: number, session: Session) {
    this.#k = k;
    this.#session = session;
    this.#chunk = new Float32Array(chunkRows(k) * k);
    this.#sum = new Float32Array(k * k);
    this.#heldOut = new Float32Array(mostHeldOut * k);
  }

  async add(tensor: Tensor): Promise<void> {
    const k = this.#k;
    if (dtypeKind(tensor.dtype) !== 'float' || tensor.shape.at(-1) !== k) return;
    const numbers = numbersOf(tensor);
    const count = numbers.length / k;
    const place = this.#batches++ % heldOutShare;
    const from = Math.floor((count * place) / heldOutShare);
    const to = Math.floor((count * (place + 1)) / heldOutShare);
    for (let row = 0; row < count; row++) {
      const at = row * k;
      if (!finite(numbers, at, k)) {
        this.#nonFinite++;
      } else if (row >= from && row < to) {
        this.#keep(numbers, at);
      } else {
        copyRow(this.#chunk, this.#filled++ * k, numbers, at, k);
        if (this.#filled * k === this.#chunk.length) await this.#flush();
      }
    }
  }

  /** Keeps every `stride`-th row; when they get too many, every second of them. */
  #keep(numbers: ArrayLike<number>, at: number): void {
    if (this.#heldOutSeen++ % this.#stride !== 0) return;
    if (this.#heldOutRows === mostHeldOut) {
      const k = this.#k;
      for (let row = 1; row < mostHeldOut / 2; row++) this.#heldOut.copyWithin(row * k, 2 * row * k, (2 * row + 1) * k);
      this.#heldOutRows = mostHeldOut / 2;
      this.#stride *= 2;
      if ((this.#heldOutSeen - 1) % this.#stride !== 0) return;
    }
    copyRow(this.#heldOut, this.#heldOutRows++ * this.#k, numbers, at, this.#k);
  }

  async #flush(): Promise<void> {
    const x = tensorFrom('float32', [this.#filled, this.#k], this.#chunk.subarray(0, this.#filled * this.#k));
    const outputs = await this.#session.run(new Map([['x', x]]));
    const product = outputs.get('y');
    if (product) {
      const part = typedArray(product, 'float32');
      for (let i = 0; i < part.length; i++) this.#sum[i] = (this.#sum[i] as number) + (part[i] as number);
    }
    this.#rows += this.#filled;
    this.#filled = 0;
  }

  async finish(): Promise<Gram> {
    if (this.#filled > 0) await this.#flush();
    return {
      k: this.#k,
      rows: this.#rows,
      sum: this.#sum,
      heldOutRows: this.#heldOutRows,
      heldOut: this.#heldOut.subarray(0, this.#heldOutRows * this.#k),
      nonFinite: this.#nonFinite,
    };
  }
}

function finite(numbers: ArrayLike<number>, at: number, k: number): boolean {
  for (let i = at; i < at + k; i++) {
    const value = numbers[i] as number;
    if (value - value !== 0) return false;
  }
  return true;
}

function copyRow(to: Float32Array, at: number, from: ArrayLike<number>, start: number, k: number): void {
  for (let i = 0; i < k; i++) to[at + i] = from[start + i] as number;
}
