import { companionJson } from '../../src/target/literal.ts';
import type { Artifact } from '../../src/target/target.ts';
import { isObject, type Json } from './json.ts';

/**
 * What the tokenizer gives for an input, or a number put everywhere; `range`: 0, 1, … over the whole row, also where it is filled up; `notEqual`: 1
 * where the ids are another number.
 */
export type TokenField = 'ids' | 'mask' | 'types' | 'positions' | 'range' | number | { readonly notEqual: number };

export interface TextTask {
  readonly kind: 'text';
  /** Model input → what it is fed, and its element type. */
  readonly feeds: Readonly<Record<string, { readonly field: TokenField; readonly dtype: string }>>;
  /** Two texts are asked for. */
  readonly pair: boolean;
  /** Most tokens, where it is known. */
  readonly maxLength: number | null;
  /** Always as many tokens. */
  readonly length: number | null;
}

export interface AudioTask {
  readonly kind: 'audio';
  readonly input: string;
  readonly dtype: string;
  readonly sampleRate: number;
  /** Samples fed; sounds are cut or filled up with silence. */
  readonly length: number | null;
  /** Fed as log-mel frames, after Whisper's extractor. */
  readonly features: LogMel | null;
}

/** Frames of `window` samples, `hop` apart, over a sound that is brought to `samples`. */
interface LogMel {
  readonly mels: number;
  readonly window: number;
  readonly hop: number;
  readonly samples: number;
  readonly frames: number;
}

/** Inputs that tokenizers of Hugging Face give, by the names that models have for them. */
const wellKnown: Readonly<Record<string, TokenField>> = {
  input_ids: 'ids',
  attention_mask: 'mask',
  token_type_ids: 'types',
  position_ids: 'positions',
};

export const tokenizerFiles: readonly string[] = ['tokenizer.json', 'tokenizer_config.json'];

/** A model of token ids whose tokenizer stands beside it, or whose data set is texts. */
export function textTask(artifact: Artifact, sections: Json): TextTask | undefined {
  if (!artifact.companions?.some(({ name }) => name === 'tokenizer.json')) return undefined;
  const feeds: Record<string, { field: TokenField; dtype: string }> = {};
  let source: Json = {};
  for (const { name, dtype } of artifact.inputs) {
    const section = sections[name];
    const field = fieldOf(name, isObject(section) ? section : undefined);
    if (field === undefined) return undefined;
    if (field === 'ids' && isObject(section)) source = section;
    feeds[name] = { field, dtype };
  }
  if (!Object.values(feeds).some(({ field }) => field === 'ids')) return undefined;
  const ids = artifact.inputs.find(({ name }) => feeds[name]?.field === 'ids');
  const extent = ids?.shape?.[1];
  const padded = source.padding === 'max' ? (numberOr(source.maxLength) ?? tokenizerLength(artifact)) : null;
  const length = typeof extent === 'number' ? extent : padded;
  return {
    // Pairs that are encoded separately are rows of their own: the model takes one text.
    ...{ kind: 'text', feeds, pair: typeof source.pair === 'string' && source.encode !== 'separately', length },
    maxLength: length ?? numberOr(source.maxLength),
  };
}

/** The most tokens by the tokenizer's own configuration; models without a bound say 1e30. */
function tokenizerLength({ companions }: Artifact): number | null {
  const file = companions?.find(({ name }) => name === 'tokenizer_config.json');
  const config = file && companionJson(file.source);
  const length = isObject(config) ? numberOr(config.model_max_length) : null;
  return length !== null && length < 1e6 ? length : null;
}

function numberOr(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function fieldOf(name: string, section: Json | undefined): TokenField | undefined {
  if (typeof section?.text === 'string') return 'ids';
  if (typeof section?.constant === 'number') return section.constant;
  if (typeof section?.notEqual === 'number') return { notEqual: section.notEqual };
  if (section?.positions === true) return 'range';
  if (typeof section?.take === 'string') return wellKnown[section.take];
  return wellKnown[name];
}

/** A model of one wave, or of its log-mel frames after Whisper. Features of other extractors are not repeated in the page. */
export function audioTask({ inputs, companions }: Artifact, sections: Json): AudioTask | undefined {
  const [input] = inputs;
  const section = sections[input?.name ?? ''];
  if (!input || inputs.length !== 1 || !isObject(section)) return undefined;
  if (typeof section.audio !== 'string') return undefined;
  const { name, dtype, shape } = input;
  const sampleRate = numberOr(section.sampleRate) ?? 16_000;
  const extractor = companions?.find((one) => one.name === 'preprocessor_config.json');
  const features = section.features === undefined || !extractor ? null : logMel(companionJson(extractor.source));
  if (section.features !== undefined && features?.sampleRate !== sampleRate) return undefined;
  const extent = features ? undefined : shape?.[1];
  return {
    ...{ kind: 'audio', input: name, dtype, sampleRate, features: features?.frames ?? null },
    length: numberOr(section.length) ?? (typeof extent === 'number' ? extent : null),
  };
}

/** What a preprocessor_config.json of Whisper says, with the defaults of its extractor. (Its filters are always Slaney's, also where it lists them.) */
function logMel(config: unknown): { sampleRate: number; frames: LogMel } | undefined {
  if (!isObject(config) || config.feature_extractor_type !== 'WhisperFeatureExtractor') return undefined;
  const sampleRate = numberOr(config.sampling_rate) ?? 16_000;
  const hop = numberOr(config.hop_length) ?? 160;
  const samples = numberOr(config.n_samples) ?? (numberOr(config.chunk_length) ?? 30) * sampleRate;
  const frames = Math.min(Math.floor(samples / hop), numberOr(config.nb_max_frames) ?? Number.POSITIVE_INFINITY);
  const [mels, window] = [numberOr(config.feature_size) ?? 80, numberOr(config.n_fft) ?? 400];
  return { sampleRate, frames: { mels, window, hop, samples, frames } };
}
