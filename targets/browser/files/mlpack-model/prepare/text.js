import { fetchOk } from '../download.js';
import { messageOf, ModelError } from '../errors.js';

let opened;

async function readJson(base, name) {
  // Asked for anew, as model.json is: that of an older model would give other tokens.
  return (await fetchOk(new URL(`tokenizer/${name}`, base), { cache: 'no-cache' })).json();
}

async function open(base) {
  try {
    const [{ Tokenizer }, json, config] = await Promise.all([
      import(/* webpackIgnore: true */ /* @vite-ignore */ new URL('tokenizer/tokenizers.min.mjs', base).href),
      readJson(base, 'tokenizer.json'),
      readJson(base, 'tokenizer_config.json').catch((error) => {
        // Without it padding and length are others, so that only a file that is not there is done without.
        if (error.final) return {};
        throw error;
      }),
    ]);
    return describe(new Tokenizer(json, config), json, config);
  } catch (error) {
    opened = undefined;
    throw error instanceof ModelError ? error : new ModelError('runtime', `The tokenizer cannot be used: ${messageOf(error)}.`, { cause: error });
  }
}

/** Padding and length as the configuration says. */
function describe(inner, json, config) {
  const text = (token) => (typeof token === 'string' ? token : token?.content);
  const ids = [config.pad_token, json.padding?.pad_token, config.eos_token]
    .map(text)
    .map((token) => (token === undefined ? undefined : inner.token_to_id(token)));
  const length = config.model_max_length;
  return {
    inner,
    pad: ids.find((id) => id !== undefined) ?? 0,
    left: config.padding_side === 'left',
    // Models without a bound say 1e30.
    maxLength: typeof length === 'number' && length < 1e6 ? length : undefined,
  };
}

/** Ids and types of one text or two with the special tokens; cut by taking tokens off the end of the longer text. */
function encode({ inner }, [text, pair], maxLength) {
  const { ids, token_type_ids: types } = inner.encode(text, { text_pair: pair ?? null, return_token_type_ids: true });
  if (maxLength === undefined || ids.length <= maxLength) {
    return { ids, types: types?.length === ids.length ? types : ids.map(() => 0), count: ids.length };
  }
  const plain = (one) => inner.tokenize(one, { add_special_tokens: false });
  const [a, b] = [plain(text), pair === undefined ? undefined : plain(pair)];
  const special = ids.length - a.length - (b?.length ?? 0);
  const [keepA, keepB] = longestFirst(a.length, b?.length ?? 0, Math.max(0, maxLength - special));
  const processed = inner.post_processor?.post_process(a.slice(0, keepA), b?.slice(0, keepB) ?? null, true);
  const tokens = processed?.tokens ?? [...a.slice(0, keepA), ...(b?.slice(0, keepB) ?? [])];
  const cut = tokens.map((token) => inner.token_to_id(token) ?? inner.model?.unk_token_id ?? 0);
  return { ids: cut, types: processed?.token_type_ids ?? cut.map(() => 0), count: ids.length };
}

/** How many tokens of two texts stay within `room`: the longer one gives first, and keeps the odd one. */
function longestFirst(first, second, room) {
  if (first + second <= room) return [first, second];
  const swapped = first > second;
  let short = Math.min(first, second);
  let long = Math.max(short, room - short);
  if (short + long > room) {
    short = Math.floor(room / 2);
    long = room - short;
  }
  return swapped ? [long, short] : [short, long];
}

/** @returns { feeds, tokens }: how many tokens the text has, and how many the model sees */
export async function prepare(task, { texts }, base) {
  opened ??= open(base);
  const tokenizer = await opened;
  const most = task.maxLength ?? tokenizer.maxLength;
  const { ids, types, count } = encode(tokenizer, texts, most);
  const length = Math.max(1, task.length ?? ids.length);
  const shift = tokenizer.left ? length - ids.length : 0;
  const row = (values, fill) => {
    const result = Array(length).fill(fill);
    for (const [at, value] of values.entries()) result[at + shift] = value;
    return result;
  };
  const fields = {
    ids: () => row(ids, tokenizer.pad),
    mask: () => row(ids.map(() => 1), 0),
    types: () => row(types, 0),
    range: () => Array.from({ length }, (_, at) => at),
    positions: () => row(ids.map((_, at) => at), 0),
  };
  const valuesOf = (field) => {
    if (typeof field === 'number') return Array(length).fill(field);
    return typeof field === 'string' ? fields[field]() : fields.ids().map((id) => (id === field.notEqual ? 0 : 1));
  };
  const feeds = {};
  for (const [name, { field }] of Object.entries(task.feeds)) feeds[name] = { data: valuesOf(field), dims: [1, length] };
  return { feeds, tokens: { count, most: most ?? null } };
}

export async function decode(ids, base) {
  opened ??= open(base);
  const { inner } = await opened;
  return inner.decode(Array.from(ids, Number), { skip_special_tokens: true });
}
