import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Tokenizer as Inner } from '@huggingface/tokenizers';
import { UserError } from '../errors.ts';
import { digestOf } from './source.ts';

export interface Tokens {
  readonly ids: readonly number[];
  readonly types: readonly number[];
}

/** A Hugging Face tokenizer, read from a folder. */
export interface Tokenizer {
  readonly path: string;
  /** Hash of its files. */
  readonly digest: string;
  readonly pad: number;
  readonly padSide: 'left' | 'right';
  /** What the model takes at most, where the configuration says so. */
  readonly maxLength: number | undefined;
  /** Tokens of a text, or of two, with the special ones; cut to `maxLength` by taking tokens off the end of the longer text. */
  encode(text: string, pair: string | undefined, maxLength: number | undefined): Tokens;
  decode(ids: readonly number[]): string;
}

/**
 * Reads tokenizer.json and tokenizer_config.json; nothing is fetched.
 * @throws UserError when there is no tokenizer, or it is of a kind that is not known
 */
export async function openTokenizer(dirs: readonly string[]): Promise<Tokenizer> {
  for (const dir of dirs) {
    const path = join(dir, 'tokenizer.json');
    const json = await readJson(path);
    if (!json) continue;
    const config = (await readJson(join(dir, 'tokenizer_config.json'))) ?? {};
    try {
      const { Tokenizer } = await import('@huggingface/tokenizers');
      return new FolderTokenizer(path, new Tokenizer(json, config), json, config);
    } catch (error) {
      throw new UserError('tokenizer-format', `${path} cannot be used: ${(error as Error).message}.`, { cause: error });
    }
  }
  throw new UserError(
    'tokenizer-missing',
    `There is no tokenizer.json in ${dirs.join(' or ')}; put tokenizer.json and tokenizer_config.json of the model there, or name their folder with "tokenizer".`,
  );
}

type Json = Readonly<Record<string, unknown>>;

async function readJson(path: string): Promise<Json | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UserError('tokenizer-format', `${path} is no valid JSON: ${(error as Error).message}.`, { cause: error });
  }
}

class FolderTokenizer implements Tokenizer {
  readonly path: string;
  readonly digest: string;
  readonly pad: number;
  readonly padSide: 'left' | 'right';
  readonly maxLength: number | undefined;
  readonly #inner: Inner;

  constructor(path: string, inner: Inner, json: Json, config: Json) {
    this.path = path;
    this.digest = digestOf(JSON.stringify([json, config]));
    this.#inner = inner;
    const padding = (json.padding ?? {}) as Json;
    const named = [config.pad_token, padding.pad_token, config.eos_token].map(tokenText);
    const ids = named.map((token) => (token === undefined ? undefined : inner.token_to_id(token)));
    this.pad = ids.find((id) => id !== undefined) ?? 0;
    this.padSide = config.padding_side === 'left' ? 'left' : 'right';
    const length = config.model_max_length;
    // Models without a bound say 1e30.
    this.maxLength = typeof length === 'number' && length < 1e6 ? length : undefined;
  }

  encode(text: string, pair: string | undefined, maxLength: number | undefined): Tokens {
    const whole = this.#encode(text, pair);
    if (maxLength === undefined || whole.ids.length <= maxLength) return whole;
    const plain = (one: string): string[] => this.#inner.tokenize(one, { add_special_tokens: false });
    const [a, b] = [plain(text), pair === undefined ? undefined : plain(pair)];
    const special = whole.ids.length - a.length - (b?.length ?? 0);
    const [keepA, keepB] = longestFirst(a.length, b?.length ?? 0, Math.max(0, maxLength - special));
    const processed = this.#inner.post_processor?.post_process(a.slice(0, keepA), b?.slice(0, keepB) ?? null, true);
    const tokens: readonly string[] = processed?.tokens ?? [...a.slice(0, keepA), ...(b?.slice(0, keepB) ?? [])];
    const unknown = this.#inner.model?.unk_token_id ?? 0;
    const ids = tokens.map((token) => this.#inner.token_to_id(token) ?? unknown);
    return { ids, types: processed?.token_type_ids ?? ids.map(() => 0) };
  }

  decode(ids: readonly number[]): string {
    return this.#inner.decode([...ids], { skip_special_tokens: false });
  }

  #encode(text: string, pair: string | undefined): Tokens {
    const { ids, token_type_ids: types } = this.#inner.encode(text, {
      text_pair: pair ?? null,
      return_token_type_ids: true,
    });
    return { ids, types: types.length === ids.length ? types : ids.map(() => 0) };
  }
}

/**
 * How many tokens of two texts stay within `room`: the longer one gives first, and keeps the odd one (as transformers' `longest_first`).
 */
function longestFirst(first: number, second: number, room: number): [first: number, second: number] {
  if (first + second <= room) return [first, second];
  const isSwapped = first > second;
  let short = Math.min(first, second);
  let long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = room - short;
  }
  return isSwapped ? [long, short] : [short, long];
}

/** Tokens are named by a text, or by an object that holds it. */
function tokenText(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  const content = (token as Json | null | undefined)?.content;
  return typeof content === 'string' ? content : undefined;
}
