import { tensorOfNumbers } from '../data/cast.ts';
import { bug, UserError } from '../errors.ts';
import { type DType, dtypeKind } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import { elementCount, stringTensor, type Tensor } from '../ir/tensor.ts';
import { randomNumbers } from '../kernels/random.ts';
import { bakedExtents } from './baked-extents.ts';
import type { FeedBatch } from './compare.ts';
import { comparedConstants, countsRounds, indexedExtents } from './feed-bounds.ts';
import { firstGuess, fixShapes, requiredInputs, type ShapeOverrides, type SizeGuess } from './feed-shapes.ts';
import { unstandardize } from './input-statistics.ts';
import { canExchange } from './ort-tensor.ts';
import type { Session } from './session.ts';
import { solvedExtents } from './solved-extents.ts';

export interface FeedOptions extends ShapeOverrides {
  readonly seed: number;
  /** How many different batches; default 1. */
  readonly count?: number;
}

/**
 * Made-up inputs that a model can run on, where there is no data: shapes from the signature (symbols by their names),
 * numbers by type and name (pictures, token ids below the embedding's size, masks of ones, positions, empty caches).
 * The same seed gives the same inputs. What the signature leaves open is tried out on the session.
 * @throws UserError when nothing tried makes the model run: shapes must then be given.
 */
export async function syntheticFeeds(model: Model, session: Session, options: FeedOptions): Promise<FeedBatch[]> {
  if (model.graph.outputs.length === 0)
    throw new UserError(
      'no-outputs',
      'The model has no outputs, so there is nothing to run it for: name outputs of the graph when exporting it.',
    );
  let failure: unknown;
  for (const attempt of attempts(model)) {
    let first: Map<string, Tensor> | undefined;
    try {
      first = randomFeeds(model, options, attempt);
      await session.run(first);
    } catch (error) {
      // What cannot be made up at the first sizes can at none; later ones may be too large where the next are not.
      if (failure === undefined && first === undefined) throw error;
      failure ??= error;
      continue;
    }
    const batches: FeedBatch[] = [{ feeds: first, size: 1 }];
    const settings = settingsAmong(model, first);
    for (let index = 1; index < (options.count ?? 1); index++) {
      const feeds = randomFeeds(model, { ...options, seed: options.seed + index }, attempt);
      for (const name of settings) feeds.set(name, first.get(name) ?? bug(name));
      batches.push({ feeds, size: 1 });
    }
    return batches;
  }
  const why = failure instanceof Error ? failure.message : String(failure);
  const names = requiredInputs(model).map((input) => `"${input.name}"`);
  throw new UserError(
    'synthetic-inputs',
    `No made-up inputs were found that the model runs on; give shapes (--input-shape ${requiredInputs(model)[0]?.name ?? 'x'}=1x…) or data (--data) for ${names.join(', ')}. First failure: ${why}`,
    { cause: failure },
  );
}

/** Single whole numbers that look nothing up (lengths, steps, switches): those that the model ran on go with every other input, too. */
function settingsAmong(model: Model, feeds: ReadonlyMap<string, Tensor>): string[] {
  return requiredInputs(model).flatMap((input) => {
    const count = elementCount(feeds.get(input.name)?.shape ?? []);
    return isWhole(input) && count === 1 && indexedExtents(input).length === 0 ? [input.name] : [];
  });
}

/** Choices where the signature alone does not decide. */
export interface Attempt {
  readonly sizes: SizeGuess;
  /** Which of the constants that a scalar is compared with is fed. */
  readonly scalar: number;
  /** What single whole numbers are that look nothing up; undefined: drawn. */
  readonly single?: number;
  /** Extents of symbols that the caller leaves open. */
  readonly dims?: Readonly<Record<string, number>>;
}

/** Sizes that models commonly want, after the first guess; then other values for scalars. */
function* attempts(model: Model): Generator<Attempt> {
  yield { sizes: firstGuess, scalar: 0 };
  const solved = solvedExtents(model);
  if (solved) yield { sizes: firstGuess, scalar: 0, dims: solved };
  // Lengths and steps that must not be 0, or are those of the sequence.
  if (requiredInputs(model).some((input) => isWhole(input) && indexedExtents(input).length === 0 && isSingle(input)))
    for (const single of [1, firstGuess.sequence])
      yield { sizes: firstGuess, scalar: 0, single, ...(solved && { dims: solved }) };
  const scalars = requiredInputs(model).some((input) => isWhole(input) && comparedConstants(input).length > 1)
    ? [0, 1]
    : [0];
  for (const scalar of scalars) {
    for (const size of [32, 64, 128, 224, 256, 320, 384, 512, 576, 640, 1024, 2048, 4096, 8000, 16000]) {
      yield { sizes: { sequence: Math.min(size, 512), picture: Math.min(size, 1024), other: size }, scalar };
    }
    yield { sizes: { ...firstGuess, sequence: 1 }, scalar };
  }
  for (const dims of bakedExtents(model)) yield { sizes: firstGuess, scalar: 0, dims };
}

/** One set of inputs, from the signature alone. */
export function randomFeeds(
  model: Model,
  options: FeedOptions,
  attempt: Attempt = { sizes: firstGuess, scalar: 0 },
): Map<string, Tensor> {
  const overrides = attempt.dims ? { ...options, dims: { ...attempt.dims, ...options.dims } } : options;
  const shapes = fixShapes(model, overrides, attempt.sizes);
  const feeds = new Map<string, Tensor>();
  for (const [index, input] of requiredInputs(model).entries()) {
    const { dtype } = input;
    if (dtype === undefined || !canExchange(dtype)) {
      const type = dtype ?? input.type?.kind ?? 'unknown';
      throw new UserError(
        'synthetic-inputs',
        `Inputs cannot be made up for "${input.name}", which is of type ${type}.`,
      );
    }
    const random = randomNumbers((options.seed * 1009 + index * 7919 + 1) >>> 0);
    feeds.set(input.name, makeTensor(input, dtype, shapes.get(input.name) ?? [], random, attempt));
  }
  return feeds;
}

const isSingle = ({ shape }: Value): boolean => (shape ?? [undefined]).every((dim) => dim === 1);

function isWhole(input: Value): boolean {
  const kind = input.dtype === undefined ? undefined : dtypeKind(input.dtype);
  return kind === 'int' || kind === 'uint';
}

const isMask = /mask/i;
const isPosition = /position[_ -]?id|cache[_ -]?position|^pos(itions?)?$/i;
const isSegment = /token[_ -]?type|segment/i;
const isState = /state|cache|past|hidden|^[hc][0n]?$|mem/i;
const isLength = /len(gth)?s?$/i;

/** A gigabyte of numbers: what a model declares is no reason to take all memory. */
const mostElements = 2 ** 27;

function makeTensor(
  input: Value,
  dtype: DType,
  shape: readonly number[],
  random: () => number,
  attempt: Pick<Attempt, 'scalar' | 'single'>,
): Tensor {
  const count = elementCount(shape);
  if (count > mostElements) {
    throw new UserError(
      'synthetic-inputs',
      `Made-up inputs for "${input.name}" would have the shape ${shape.join('x')}, more than ${mostElements} elements; give smaller shapes (--input-shape) or data (--data).`,
    );
  }
  if (dtype === 'string')
    return stringTensor(
      shape,
      Array.from({ length: count }, () => new TextEncoder().encode('a')),
    );
  const values = new Float64Array(count);
  if (isMask.test(input.name)) values.fill(1);
  else if (dtypeKind(dtype) === 'float') {
    fillFloats(values, input, shape, random);
    unstandardize(values, input, shape);
  } else if (dtype !== 'bool') fillWhole(values, input, shape, random, attempt);
  // A switch for the whole model stays off; flags of samples and of places are of both kinds.
  else if ((input.shape ?? []).some((dim) => dim !== 1) || count > 1) {
    for (let at = 0; at < values.length; at++) values[at] = Number(random() < 0.5);
  }
  return tensorOfNumbers(dtype, shape, values);
}

/** With none a body would not be run at all, and a second round is the first that takes what the body made. */
const roundsOfLoops = 3;

function fillWhole(
  values: Float64Array,
  input: Value,
  shape: readonly number[],
  random: () => number,
  { scalar, single }: Pick<Attempt, 'scalar' | 'single'>,
): void {
  const [bound] = indexedExtents(input);
  const wanted = comparedConstants(input);
  if (isPosition.test(input.name)) {
    const length = shape.at(-1) ?? 1;
    for (let at = 0; at < values.length; at++) values[at] = at % length;
  } else if (isSegment.test(input.name)) {
    values.fill(0);
  } else if (bound !== undefined) {
    for (let at = 0; at < values.length; at++) values[at] = Math.floor(random() * bound);
  } else if (values.length === 1 && wanted.length > 0) {
    values.fill(wanted[Math.min(scalar, wanted.length - 1)] ?? 0);
  } else if (values.length === 1 && single !== undefined) {
    values.fill(single);
  } else if (values.length === 1 && countsRounds(input)) {
    values.fill(roundsOfLoops);
  } else if (isLength.test(input.name)) {
    values.fill(1);
  } else if (input.dtype === 'uint8' && shape.length >= 3) {
    for (let at = 0; at < values.length; at++) values[at] = Math.floor(random() * 256);
  } else {
    for (let at = 0; at < values.length; at++) values[at] = Math.floor(random() * 4);
  }
}

function fillFloats(values: Float64Array, input: Value, shape: readonly number[], random: () => number): void {
  const [, channels = 0, height = 0, width = 0] = shape;
  if (shape.length === 4 && channels <= 4 && height >= 16 && width >= 16) fillPicture(values, height, width, random);
  else for (let at = 0; at < values.length; at++) values[at] = normal(random) * (isState.test(input.name) ? 0.1 : 1);
}

/** Smooth waves with some noise, mean 0 and variance about 1: nearer to a normalized photograph than white noise is. */
function fillPicture(values: Float64Array, height: number, width: number, random: () => number): void {
  const plane = height * width;
  for (let start = 0; start < values.length; start += plane) {
    const waves = Array.from({ length: 4 }, () => ({
      x: (random() - 0.5) * 40,
      y: (random() - 0.5) * 40,
      phase: random() * 2 * Math.PI,
    }));
    for (let at = 0; at < plane; at++) {
      const x = (at % width) / width;
      const y = Math.floor(at / width) / height;
      let value = 0.3 * normal(random);
      for (const wave of waves) value += 0.67 * Math.sin(wave.x * x + wave.y * y + wave.phase);
      values[start + at] = value;
    }
  }
}

/** Standard normal number (Box and Muller). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
