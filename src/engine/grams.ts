import { numbersOf } from '../data/cast.ts';
import { cloneModel } from '../ir/clone.ts';
import { dtypeKind } from '../ir/dtype.ts';
import { Graph, Model, type Value } from '../ir/graph.ts';
import { sortTopologically } from '../ir/sort.ts';
import { type Tensor, tensorFrom, typedArray } from '../ir/tensor.ts';
import { tensorType } from '../ir/types.ts';
import { addGram } from '../kernels/linear-algebra.ts';
import type { Gram, GramOptions, GramRequest, StandIns, VisitGram } from '../pass/pass.ts';
import { adaptFeeds, type FeedBatches } from './compare.ts';
import { openModel } from './open-model.ts';
import { canExchange } from './ort-tensor.ts';
import { Segments } from './segments.ts';
import type { Session } from './session.ts';

/** Sums of squares are held together up to this size; more values take more runs over the data. */
const memoryBudget = 512e6;
/** What is alive at a cut is kept for all samples up to this size; beyond it the model is run from the last cut again. */
const cutBudget = 768e6;
/** Every so many-th stretch of rows is kept apart to judge by, thinned out to so many rows. */
const heldOutShare = 5;
const mostHeldOut = 512;

/**
 * Xᵀ·X of the inputs of linear layers, over all rows of all batches. ONNX Runtime multiplies, in float32, some thousand
 * rows at a time. A fifth of the rows is left out of the sums and handed over as it is: the stretch of each batch that is
 * left out moves on from batch to batch, so that neither late tokens nor late samples are missing from either share.
 * Each result is handed to `visit` and then dropped. The model is run stretch by stretch, what is alive between them kept, so
 * that no more of its weights are in memory than a stretch has, and each stretch can be run with other weights.
 * @throws UserError when the model cannot be run on the batches.
 */
export async function gramsOf(
  model: Model,
  requests: readonly GramRequest[],
  batches: () => FeedBatches,
  visit: VisitGram,
  signal?: AbortSignal,
  options: GramOptions = {},
): Promise<void> {
  const observers = requests.map(({ value, k }) => ({
    value,
    k,
    bytes: rowSumsBytes(k),
    open: (squares: Session) => new RowSums(k, squares),
    visit: (rows: RowSums) => rows.finish().then((gram) => visit(value, gram)),
  }));
  await observeInOrder(model, observers, batches, { ...options, signal });
}

/** Takes in a value tensor by tensor. */
interface Sums {
  add(tensor: Tensor): Promise<void>;
}

/** A value that is observed, and what is made of it. */
export interface Observer<S extends Sums> {
  readonly value: Value;
  /** What its sums take while they are held. */
  readonly bytes: number;
  open(squares: Session): S;
  visit(sums: S): Promise<StandIns | undefined | void>;
}

/**
 * Feeds sums with the values of the main graph that they observe, in the order in which these are made; each is handed over and
 * dropped when it has seen all batches.
 * @throws UserError when the model cannot be run on the batches.
 */
export async function observeInOrder<S extends Sums>(
  model: Model,
  observers: readonly Observer<S>[],
  batches: () => FeedBatches,
  { signal, sequential = false }: GramOptions & { readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const wanted = observers.filter(({ value }) => value.graph === model.graph);
  if (wanted.length === 0) return;
  const source = cloneModel(model);
  sortTopologically(source.graph);
  const copies = valuesByName(source);
  const segments = new Segments(source);
  const squares = await openModel(squaresModel(), { label: 'the sums of squares' });
  const run = new StagedRun(segments, batches, signal);
  try {
    const placed = wanted.flatMap((observer) => {
      const copy = copies.get(observer.value.name);
      return copy ? [{ observer, copy, place: segments.placeOf(copy), reader: segments.firstReader(copy) }] : [];
    });
    placed.sort((a, b) => a.place - b.place);
    for (const wave of waves(placed, sequential)) {
      const open = wave.map(({ observer, copy }) => ({ name: copy.name, observer, sums: observer.open(squares) }));
      await run.observe([...new Set(wave.map(({ copy }) => copy))], async (name, tensor) => {
        for (const one of open) if (one.name === name) await one.sums.add(tensor);
      });
      for (let next = open.shift(); next; next = open.shift()) {
        const standIns = await next.observer.visit(next.sums);
        for (const [weight, tensor] of standIns ?? []) {
          const copy = copies.get(weight.name);
          if (copy) run.standIns.set(copy, tensor);
        }
      }
    }
  } finally {
    await squares.dispose();
  }
}

function valuesByName({ graph }: Model): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const value of [...graph.inputs, ...graph.initializers]) values.set(value.name, value);
  for (const node of graph.nodes) for (const value of node.outputs) if (value) values.set(value.name, value);
  return values;
}

interface Placed<S extends Sums> {
  readonly observer: Observer<S>;
  readonly copy: Value;
  readonly place: number;
  readonly reader: number;
}

/** Memory of the sums over rows [k] while they are made. */
export const rowSumsBytes = (k: number): number => 4 * k * (k + mostHeldOut + chunkRows(k));

/**
 * Values that are observed in one run: as many as fit the memory, and, where weights may be replaced in between, only such
 * as are made before the first layer of any of them.
 */
function* waves<S extends Sums>(placed: readonly Placed<S>[], sequential: boolean): Generator<Placed<S>[]> {
  let wave: Placed<S>[] = [];
  let bytes = 0;
  for (const request of placed) {
    const { observer, place } = request;
    const late = sequential && wave.some(({ reader }) => reader < place);
    if (wave.length > 0 && (late || bytes + observer.bytes > memoryBudget)) {
      yield wave;
      wave = [];
      bytes = 0;
    }
    wave.push(request);
    bytes += observer.bytes;
  }
  if (wave.length > 0) yield wave;
}

/** Runs the model up to one place after the other, from the last place at which everything alive could be kept. */
export class StagedRun {
  /** Weights that take the place of others, by the value of the copy. */
  readonly standIns = new Map<Value, Tensor>();
  readonly #segments: Segments;
  readonly #batches: () => FeedBatches;
  readonly #signal: AbortSignal | undefined;
  #place = 0;
  /** What is alive at `place`, batch by batch; undefined at the beginning, where the data is read. */
  #kept: Map<string, Tensor>[] | undefined;

  constructor(segments: Segments, batches: () => FeedBatches, signal: AbortSignal | undefined) {
    this.#segments = segments;
    this.#batches = batches;
    this.#signal = signal;
  }

  async observe(values: readonly Value[], visit: (name: string, tensor: Tensor) => Promise<void>): Promise<void> {
    if (values.some((value) => this.#isGone(value))) {
      this.#place = 0;
      this.#kept = undefined;
    }
    const end = Math.max(...values.map((value) => this.#segments.placeOf(value)));
    let keep: Map<string, Tensor>[] | undefined = this.#segments.canCut(end) ? [] : undefined;
    const alive = keep ? this.#segments.alive(end) : [];
    const outputs = [...new Set([...values, ...alive])];
    const made = outputs.filter((value) => this.#segments.placeOf(value) > this.#place);
    let session: Session | undefined;
    let bytes = 0;
    try {
      for await (const feeds of this.#feeds()) {
        this.#signal?.throwIfAborted();
        if (made.length > 0) session ??= await this.#open(end, made, feeds);
        const results = session ? await runOn(session, feeds, outputs) : new Map<string, Tensor>();
        const find = (name: string): Tensor | undefined => results.get(name) ?? feeds.get(name);
        for (const { name } of values) {
          const tensor = find(name);
          if (tensor) await visit(name, tensor);
        }
        if (!keep) continue;
        const kept = new Map<string, Tensor>();
        let missing = false;
        for (const value of alive) {
          const tensor = find(value.name);
          if (tensor) kept.set(value.name, tensor);
          else missing ||= value.initializer === undefined;
          bytes += tensor?.byteLength ?? 0;
        }
        // Something alive that the runtime does not hand out, or too much: the next run begins where this one did.
        if (missing || bytes > cutBudget) keep = undefined;
        else keep.push(kept);
      }
    } finally {
      await session?.dispose();
    }
    if (keep) {
      this.#place = end;
      this.#kept = keep;
    }
  }

  /** Made before the place where the last run ended, and read by nothing behind it: only a run from the beginning has it. */
  #isGone(value: Value): boolean {
    const kept = this.#kept;
    return (
      kept !== undefined && this.#segments.placeOf(value) <= this.#place && !kept.every((one) => one.has(value.name))
    );
  }

  async *#feeds(): AsyncGenerator<ReadonlyMap<string, Tensor>> {
    if (this.#kept) yield* this.#kept;
    else for await (const { feeds } of this.#batches()) yield feeds;
  }

  async #open(end: number, made: readonly Value[], feeds: ReadonlyMap<string, Tensor>): Promise<Session> {
    const model = this.#segments.cut(this.#place, end, made, feeds, this.standIns);
    return await openModel(model, { graphOptimizationLevel: 'disabled', label: 'a stretch of the model' });
  }
}

/** Those of the values that the session hands out: numbers, and what can be fed again. */
async function runOn(
  session: Session,
  feeds: ReadonlyMap<string, Tensor>,
  values: readonly Value[],
): Promise<Map<string, Tensor>> {
  const types = new Map(session.outputs.map((output) => [output.name, output.dtype]));
  const asked = values.map(({ name }) => name).filter((name) => canExchange(types.get(name) ?? ''));
  if (asked.length === 0) return new Map();
  const own = new Map<string, Tensor>();
  for (const { name } of session.inputs) {
    const tensor = feeds.get(name);
    if (tensor) own.set(name, tensor);
  }
  return await session.run(adaptFeeds(own, session.inputs), asked);
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

/** Up to so many columns a loop is done before the runtime has begun: depthwise convolutions have hundreds of such sums. */
const smallest = 32;

/** Every `stride`-th row of many; when they get too many, every second of them. */
class Thinned {
  readonly #width: number;
  readonly #most: number;
  #data: Float32Array;
  #seen = 0;
  #stride = 1;
  rows = 0;

  constructor(width: number, most: number) {
    this.#width = width;
    this.#most = most - (most % 2);
    this.#data = new Float32Array(Math.min(this.#most, 512) * width);
  }

  get data(): Float32Array {
    return this.#data.subarray(0, this.rows * this.#width);
  }

  add(numbers: ArrayLike<number>, at: number): void {
    if (this.#most === 0 || this.#seen++ % this.#stride !== 0) return;
    const width = this.#width;
    if (this.rows === this.#most) {
      for (let row = 1; row < this.#most / 2; row++)
        this.#data.copyWithin(row * width, 2 * row * width, (2 * row + 1) * width);
      this.rows = this.#most / 2;
      this.#stride *= 2;
      if ((this.#seen - 1) % this.#stride !== 0) return;
    }
    if ((this.rows + 1) * width > this.#data.length) {
      const wider = new Float32Array(Math.min(2 * this.#data.length, this.#most * width));
      wider.set(this.#data);
      this.#data = wider;
    }
    copyRow(this.#data, this.rows++ * width, numbers, at, width);
  }
}

/** Sums of squares of rows [k] and the rows held out, fed tensor by tensor; behind the k, rows may carry more that is in no sum. */
export class RowSums {
  readonly #k: number;
  readonly #carried: number;
  readonly #kept: Thinned;
  readonly #session: Session;
  readonly #chunk: Float32Array;
  readonly #sum: Float32Array;
  readonly #total: Float64Array;
  readonly #heldOut: Thinned;
  #filled = 0;
  #rows = 0;
  #nonFinite = 0;
  #batches = 0;

  /** @param kept rows of the sum that are handed over, too, at most */
  constructor(k: number, session: Session, { carried = 0, kept = 0 } = {}) {
    this.#k = k;
    this.#carried = carried;
    this.#kept = new Thinned(k + carried, kept);
    this.#session = session;
    this.#chunk = new Float32Array(chunkRows(k) * k);
    this.#sum = new Float32Array(k * k);
    this.#total = new Float64Array(k);
    this.#heldOut = new Thinned(k + carried, mostHeldOut);
  }

  async add(tensor: Tensor): Promise<void> {
    const k = this.#k;
    const width = k + this.#carried;
    if (dtypeKind(tensor.dtype) !== 'float' || tensor.shape.at(-1) !== width) return;
    const numbers = numbersOf(tensor);
    const count = numbers.length / width;
    const place = this.#batches++ % heldOutShare;
    const from = Math.floor((count * place) / heldOutShare);
    const to = Math.floor((count * (place + 1)) / heldOutShare);
    for (let row = 0; row < count; row++) {
      const at = row * width;
      if (!finite(numbers, at, width)) {
        this.#nonFinite++;
      } else if (row >= from && row < to) {
        this.#heldOut.add(numbers, at);
      } else {
        this.#kept.add(numbers, at);
        copyRow(this.#chunk, this.#filled++ * k, numbers, at, k);
        if (this.#filled * k === this.#chunk.length) await this.#flush();
      }
    }
  }

  async #flush(): Promise<void> {
    for (let row = 0, at = 0; row < this.#filled; row++)
      for (let i = 0; i < this.#k; i++, at++) this.#total[i] = (this.#total[i] as number) + (this.#chunk[at] as number);
    if (this.#k <= smallest) {
      addGram(this.#sum, this.#chunk, this.#filled, this.#k);
      this.#rows += this.#filled;
      this.#filled = 0;
      return;
    }
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
      total: this.#total,
      heldOutRows: this.#heldOut.rows,
      heldOut: this.#heldOut.data,
      nonFinite: this.#nonFinite,
      ...(this.#carried > 0 && { carried: this.#carried }),
      ...(this.#kept.rows > 0 && { kept: this.#kept.data }),
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
