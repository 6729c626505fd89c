import { UserError } from '../errors.ts';
import { namedDim, substituteDim, symbolsOf } from '../ir/dim.ts';
import { dtypeKind } from '../ir/dtype.ts';
import type { Model, Value } from '../ir/graph.ts';
import type { Dim } from '../ir/types.ts';
import { nearest } from '../messages.ts';
import { weightExtents } from './weight-extents.ts';

/** What a caller fixes: extents of symbols, and whole shapes of inputs. */
export interface ShapeOverrides {
  readonly dims?: Readonly<Record<string, number>>;
  readonly shapes?: ReadonlyMap<string, readonly number[]>;
  /** Extent of first axes without a name. */
  readonly batch?: number;
}

/** Extents for what names do not settle. */
export interface SizeGuess {
  /** Tokens in a sequence. */
  readonly sequence: number;
  /** Height and width of pictures. */
  readonly picture: number;
  /** Anything else: frames, samples, rows. */
  readonly other: number;
  /** Positions that came before; default 0. */
  readonly past?: number;
}

export const firstGuess: SizeGuess = { sequence: 16, picture: 224, other: 16 };

/** Inputs a caller must give: those without a default. */
export function requiredInputs(model: Model): Value[] {
  return model.graph.inputs.filter((input) => input.initializer === undefined);
}

/**
 * Extents of symbols: those that were named, and those in an input whose whole shape was.
 * @throws UserError when an override does not fit the model.
 */
export function bindSymbols(model: Model, overrides: ShapeOverrides): Map<string, number> {
  const inputs = requiredInputs(model);
  checkOverrides(inputs, overrides);
  const symbols = new Map<string, number>(Object.entries(overrides.dims ?? {}));
  for (const input of inputs) bindFromShape(input, overrides.shapes?.get(input.name), symbols);
  return symbols;
}

/**
 * Fixed shapes for the model's inputs. Symbols get the same extent everywhere; expressions over symbols follow.
 * @throws UserError when an override does not fit the model.
 */
export function fixShapes(model: Model, overrides: ShapeOverrides, guess: SizeGuess): Map<string, number[]> {
  const inputs = requiredInputs(model);
  const symbols = bindSymbols(model, overrides);
  const asked = new Map(inputs.map((input) => [input, weightExtents(input)]));
  // A name that says nothing stands for one extent where the caller gives it one.
  const known = (dim: Dim): Dim => (typeof dim === 'string' && symbols.has(dim) ? dim : namedDim(dim));
  // What weights say is certain, names are a guess.
  for (const [input, extents] of asked) {
    for (const [axis, declared] of (input.shape ?? []).entries()) {
      const dim = known(declared);
      const extent = extents[axis];
      if (extent !== undefined && isPlain(dim) && !symbols.has(dim)) symbols.set(dim, extent);
    }
  }
  const shapes = new Map<string, number[]>();
  const fix = (some: readonly Value[], sizes: SizeGuess): void => {
    for (const input of some)
      for (const [axis, dim] of (input.shape ?? []).entries())
        for (const symbol of symbolsOf(known(dim)))
          if (!symbols.has(symbol)) symbols.set(symbol, extentOf(symbol, input, axis, sizes));
    // Past and new tokens together, in models that do not say so themselves.
    settleTotals(symbols);
    for (const input of some) {
      const given = overrides.shapes?.get(input.name);
      const shape =
        given ??
        (input.shape ?? unknownShape(input)).map((declared, axis) => {
          const dim = known(declared);
          const said = (axis === 0 ? overrides.batch : undefined) ?? asked.get(input)?.[axis];
          return dim === undefined && said !== undefined ? said : extent(dim, input, axis, symbols, sizes);
        });
      shapes.set(input.name, [...shape]);
    }
  };
  fix(
    inputs.filter((input) => !isEncoderPast(input)),
    guess,
  );
  // The decoder's past may be empty; the encoder's is what the encoder made of the whole source.
  const source = encoderLength(inputs, shapes) ?? guess.sequence;
  fix(inputs.filter(isEncoderPast), { ...guess, sequence: source, past: source });
  return shapes;
}

/**
 * Symbols that carry the batch and the sequence length, by their names and places, with the extents asked for; first axes without a name
 * are the batch where no symbol is.
 * @throws UserError when the model has no such open dimension.
 */
export function sizeDims(
  model: Model,
  sizes: { readonly batch?: number; readonly sequence?: number },
): Pick<ShapeOverrides, 'batch'> & { readonly dims: Record<string, number> } {
  const dims: Record<string, number> = {};
  const inputs = requiredInputs(model);
  const symbolsAt = (wanted: (symbol: string, axis: number, input: Value) => boolean): string[] =>
    inputs.flatMap((input) =>
      (input.shape ?? []).flatMap((dim, axis) =>
        [...symbolsOf(namedDim(dim))].filter(
          (symbol) => !isPast.test(symbol) && !isTotal.test(symbol) && wanted(symbol, axis, input),
        ),
      ),
    );
  const shapes = inputs.map(({ name, shape }) => `${name} [${(shape ?? ['…']).map((dim) => dim ?? '?').join(', ')}]`);
  const named = symbolsAt((symbol) => isBatch.test(symbol));
  const batch = named.length > 0 ? named : symbolsAt((symbol, axis) => axis === 0 && !isSequence.test(symbol));
  const nameless = batch.length === 0 && inputs.some(({ shape }) => shape?.length && namedDim(shape[0]) === undefined);
  if (sizes.batch !== undefined) {
    if (batch.length === 0 && !nameless)
      throw new UserError(
        'batch-fixed',
        `the model's batch is fixed (${shapes.join('; ')}), so --batch has nothing to set.`,
      );
    for (const symbol of batch) dims[symbol] = sizes.batch;
  }
  if (sizes.sequence !== undefined) {
    const sequence = symbolsAt((symbol) => isSequence.test(symbol) && !batch.includes(symbol));
    if (sequence.length === 0)
      throw new UserError(
        'sequence-fixed',
        `no input of the model has an open sequence dimension (${shapes.join('; ')}), so --seq has nothing to set; --input-shape sets dimensions by name.`,
      );
    for (const symbol of sequence) dims[symbol] = sizes.sequence;
  }
  return { dims, ...(nameless && sizes.batch !== undefined && { batch: sizes.batch }) };
}

function extent(dim: Dim, input: Value, axis: number, symbols: ReadonlyMap<string, number>, guess: SizeGuess): number {
  const fixed = substituteDim(dim, symbols);
  return typeof fixed === 'number' ? Math.max(fixed, 0) : extentOf('', input, axis, guess);
}

/** Nothing is known of the shape, not even the rank: a batch of one row. */
function unknownShape(input: Value): Dim[] {
  return dtypeKind(input.dtype ?? 'float32') === 'float' ? [undefined, undefined] : [undefined];
}

/** Names of batch dimensions, which are 1 where nothing is said. */
export const isBatch = /^(n|b|bs|batch|batch[_ -]?size|num[_ -]?samples)$/i;
const isPast = /past|cache|mem[_ -]?len/i;
const isTotal = /total|past.*\+|^(kv|key)[_ -]?(seq|len)/i;
const isSequence = /seq|token|len|^[lst]$|time|words?|chars?|text/i;
const isPicture = /height|width|^[hw]$|image|img|rows|cols/i;
const isRecurrent = /state|hidden|^[hc][0n]?$/i;
const isOfEncoder = /encoder|cross/i;
const isChannels = /chan|^c$/i;

function extentOf(symbol: string, input: Value, axis: number, guess: SizeGuess): number {
  if (isBatch.test(symbol)) return 1;
  if (isTotal.test(symbol)) return guess.sequence;
  if (isPast.test(symbol)) return guess.past ?? 0;
  if (isSequence.test(symbol)) return guess.sequence;
  if (isPicture.test(symbol)) return guess.picture;
  if (isChannels.test(symbol)) return 3;
  if (axis === 0) return 1;
  if (isPast.test(input.name)) return guess.past ?? 0;
  if (isRecurrent.test(input.name)) return 1;
  const rank = input.shape?.length ?? 0;
  if (dtypeKind(input.dtype ?? 'float32') !== 'float') return guess.sequence;
  if (rank === 4) return axis === 1 ? 3 : guess.picture;
  return guess.other;
}

/** Keys and values that a decoder takes over from the encoder: `past_key_values.0.encoder.key`, `past_key_cross_0`. */
const isEncoderPast = ({ name }: Value): boolean => isOfEncoder.test(name) && isPast.test(name);

/** How long the source is by what else comes from the encoder: its mask [batch, source], or its states [batch, source, size]. */
function encoderLength(inputs: readonly Value[], shapes: ReadonlyMap<string, readonly number[]>): number | undefined {
  const others = inputs.filter((input) => isOfEncoder.test(input.name) && !isPast.test(input.name));
  const told = others.find(({ name }) => /mask/i.test(name)) ?? others[0];
  return told && shapes.get(told.name)?.[1];
}

/** `total_sequence_length` = past + sequence, when all three are symbols of the model. */
function settleTotals(symbols: Map<string, number>): void {
  const decoders = [...symbols].filter(([name]) => !isTotal.test(name) && !isOfEncoder.test(name));
  const past = decoders.find(([name]) => isPast.test(name));
  const sequence = decoders.find(([name]) => isSequence.test(name) && !isPast.test(name));
  if (!past || !sequence) return;
  for (const name of symbols.keys()) if (isTotal.test(name)) symbols.set(name, past[1] + sequence[1]);
}

function bindFromShape(input: Value, given: readonly number[] | undefined, symbols: Map<string, number>): void {
  for (const [axis, extentGiven] of (given ?? []).entries()) {
    const dim = namedDim(input.shape?.[axis]);
    if (isPlain(dim)) symbols.set(dim, extentGiven);
  }
}

/** A symbol by itself, no expression over symbols. */
function isPlain(dim: Dim): dim is string {
  return typeof dim === 'string' && symbolsOf(dim).size === 1 && symbolsOf(dim).has(dim);
}

function checkOverrides(inputs: readonly Value[], overrides: ShapeOverrides): void {
  const names = inputs.map((input) => input.name);
  for (const [name, given] of overrides.shapes ?? []) {
    const input = inputs.find((candidate) => candidate.name === name);
    if (!input) throw new UserError('input-unknown', `The model has no input "${name}"${nearest(name, names)}.`);
    const shape = input.shape;
    const fits =
      !shape ||
      (shape.length === given.length && shape.every((dim, axis) => typeof dim !== 'number' || dim === given[axis]));
    if (!fits) {
      throw new UserError(
        'input-shape',
        `Input "${name}" is of shape [${shape.map((dim) => dim ?? '?').join(', ')}]; [${given.join(', ')}] does not fit it.`,
      );
    }
  }
  const known = new Set(inputs.flatMap((input) => (input.shape ?? []).flatMap((dim) => [...symbolsOf(dim)])));
  for (const symbol of Object.keys(overrides.dims ?? {})) {
    if (!known.has(symbol))
      throw new UserError(
        'input-shape',
        `No input of the model has a dimension "${symbol}"${nearest(symbol, [...known])}.`,
      );
  }
}
