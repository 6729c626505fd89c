import { numbersOf } from '../data/cast.ts';
import { UserError } from '../errors.ts';
import type { Model, Value } from '../ir/graph.ts';
import { type Tensor, tensorFrom } from '../ir/tensor.ts';
import { randomNumbers } from '../kernels/random.ts';
import type { FeedBatch } from './compare.ts';
import { indexedExtents } from './feed-bounds.ts';
import { requiredInputs } from './feed-shapes.ts';
import { syntheticFeeds } from './feeds.ts';
import { openModel } from './open-model.ts';
import type { Session } from './session.ts';

/**
 * Texts, and tokens of each. Perplexity of the shared language model (float 4.509) in 4 bits by GPTQ: 4.83 with 8 texts, 4.85 with 16,
 * 4.79 with 32, as with real text; random tokens give 4.93.
 */
const texts = 32;
const fewestTexts = 8;
const length = 64;
/** Texts of one inference. */
const together = 8;
/** Tokens by which the inputs grow: a model without its past computes all tokens for each new one. */
const stride = 16;
/** Multiplications that writing may take: half a minute or so on two cores. */
const budget = 2e12;

export interface OwnText {
  readonly batches: readonly FeedBatch[];
  readonly texts: number;
  readonly tokens: number;
}

/**
 * Text that a causal language model writes by itself, token after token drawn from its own distribution: what its activations are like
 * where there is no data. The sentence says why a model writes none: it takes no token ids, gives no logits over them, looks ahead, or is too large.
 */
export async function writeOwnText(
  model: Model,
  { seed, signal }: { readonly seed: number; readonly signal?: AbortSignal | undefined },
): Promise<OwnText | string> {
  const input = tokenInput(model);
  const vocabulary = input && indexedExtents(input)[0];
  if (!input || vocabulary === undefined) return 'it takes no token ids';
  const [rows, columns] = input.shape ?? [];
  if (typeof rows === 'number' && rows !== 1) return `its batch is fixed to ${rows}`;
  if (typeof columns === 'number') return `its length is fixed to ${columns} tokens`;
  const cost = parametersOf(model) * strides().reduce((sum, tokens) => sum + tokens * stride, 0);
  const count = Math.min(texts, Math.floor(budget / cost));
  if (count < fewestTexts) return `writing ${fewestTexts} texts would take it minutes`;
  const size = typeof rows === 'number' ? 1 : together;
  const session = await openModel(model);
  try {
    const batches: FeedBatch[] = [];
    for (let at = 0; at < count; at += size) {
      signal?.throwIfAborted();
      const random = randomNumbers((seed * 1009 + at * 7919 + 1) >>> 0);
      const writer = new Writer(model, session, input, vocabulary, size, random);
      const why = batches.length === 0 ? await writer.unfit() : undefined;
      if (why) return why;
      batches.push({ feeds: await writer.write(signal), size });
    }
    return { batches, texts: batches.length * size, tokens: batches.length * size * length };
  } catch (error) {
    if (error instanceof UserError && error.code === 'synthetic-inputs')
      return 'no other inputs were found that it runs with';
    throw error;
  } finally {
    await session.dispose();
  }
}

/** Lengths that the inputs have one after the other. */
const strides = (): number[] => Array.from({ length: length / stride }, (_, i) => (i + 1) * stride);

class Writer {
  readonly #model: Model;
  readonly #session: Session;
  readonly #input: Value;
  readonly #vocabulary: number;
  readonly #size: number;
  readonly #random: () => number;

  constructor(model: Model, session: Session, input: Value, vocabulary: number, size: number, random: () => number) {
    this.#model = model;
    this.#session = session;
    this.#input = input;
    this.#vocabulary = vocabulary;
    this.#size = size;
    this.#random = random;
  }

  /** Why the model is none that writes. */
  async unfit(): Promise<string | undefined> {
    const feeds = await this.#feeds(stride);
    const tokens = Array.from({ length: this.#size * stride }, () => Math.floor(this.#random() * this.#vocabulary));
    const first = await this.#logits(feeds, tokens, stride);
    if (!first) return 'none of its outputs holds logits over its tokens';
    // Another last token, in each text.
    const changed = tokens.map((token, at) => ((at + 1) % stride === 0 ? (token + 1) % this.#vocabulary : token));
    const second = await this.#logits(feeds, changed, stride);
    const classes = first.length / tokens.length;
    for (let at = 0; at < first.length; at++) {
      if (Math.floor(at / classes + 1) % stride === 0) continue;
      const [a, b] = [first[at] as number, second?.[at] as number];
      if (Math.abs(a - b) > 1e-3 * Math.max(1, Math.abs(a))) return 'it looks at tokens that come later';
    }
    return undefined;
  }

  /** @returns the inputs of a finished batch */
  async write(signal: AbortSignal | undefined): Promise<Map<string, Tensor>> {
    let written = Array.from({ length: this.#size }, () => [Math.floor(this.#random() * this.#vocabulary)]);
    for (const tokens of strides()) {
      const feeds = await this.#feeds(tokens);
      for (let at = written[0]?.length ?? 0; at < tokens; at++) {
        signal?.throwIfAborted();
        const padded = written.flatMap((text) => [...text, ...Array.from({ length: tokens - at }, () => 0)]);
        const logits = (await this.#logits(feeds, padded, tokens)) ?? new Float32Array(0);
        const classes = logits.length / padded.length;
        written = written.map((text, row) => {
          const from = (row * tokens + at - 1) * classes;
          return [...text, draw(logits.subarray(from, from + classes), this.#random())];
        });
      }
    }
    const feeds = await this.#feeds(length);
    return feeds.set(this.#input.name, this.#tensor(written.flat(), length));
  }

  /** All inputs as they are made up, for texts of so many tokens. */
  async #feeds(tokens: number): Promise<Map<string, Tensor>> {
    const [rows, columns] = this.#input.shape ?? [];
    const dims: Record<string, number> = {};
    if (typeof rows === 'string') dims[rows] = this.#size;
    if (typeof columns === 'string') dims[columns] = tokens;
    const shapes = new Map([[this.#input.name, [this.#size, tokens]]]);
    const [batch] = await syntheticFeeds(this.#model, this.#session, { seed: 0, dims, shapes });
    return new Map(batch?.feeds);
  }

  async #logits(
    feeds: ReadonlyMap<string, Tensor>,
    tokens: readonly number[],
    length: number,
  ): Promise<Float32Array | undefined> {
    const outputs = this.#session.outputs.filter(({ dtype, shape }) => /float/.test(dtype) && shape?.length === 3);
    const names = outputs.map(({ name }) => name);
    if (names.length === 0) return undefined;
    const given = new Map(feeds).set(this.#input.name, this.#tensor(tokens, length));
    for (const tensor of (await this.#session.run(given, names)).values()) {
      const [rows, columns, classes = 0] = tensor.shape;
      const fits = rows === tokens.length / length && columns === length;
      if (fits && classes <= this.#vocabulary && classes >= this.#vocabulary / 2)
        return Float32Array.from(numbersOf(tensor));
    }
    return undefined;
  }

  #tensor(tokens: readonly number[], length: number): Tensor {
    const shape = [tokens.length / length, length];
    return this.#input.dtype === 'int32'
      ? tensorFrom('int32', shape, Int32Array.from(tokens))
      : tensorFrom('int64', shape, BigInt64Array.from(tokens, BigInt));
  }
}

/** A class drawn from the softmax of the logits. */
function draw(logits: Float32Array, random: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const x of logits) if (x > most) most = x;
  let total = 0;
  for (const x of logits) total += Math.exp(x - most);
  let left = random * total;
  for (const [at, x] of logits.entries()) {
    left -= Math.exp(x - most);
    if (left <= 0) return at;
  }
  return logits.length - 1;
}

const isOther = /mask|position|token[_ -]?type|segment/i;

/** The input of token ids: whole numbers [batch, tokens] that look rows up. */
function tokenInput(model: Model): Value | undefined {
  return requiredInputs(model).find(
    (input) =>
      (input.dtype === 'int64' || input.dtype === 'int32') &&
      input.shape?.length === 2 &&
      !isOther.test(input.name) &&
      indexedExtents(input).length > 0,
  );
}

function parametersOf(model: Model): number {
  let count = 0;
  for (const { initializer } of model.graph.initializers)
    if (initializer && initializer.shape.length > 1) count += initializer.shape.reduce((a, b) => a * b, 1);
  return count;
}
