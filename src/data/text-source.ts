import { UserError } from '../errors.ts';
import type { DType } from '../ir/dtype.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorOfNumbers } from './cast.ts';
import { digestOf, type Source, type Split } from './source.ts';
import type { TextSpec } from './specs.ts';
import { openTable } from './table.ts';
import { openTokenizer, type Tokenizer, type Tokens } from './tokenizer.ts';

/** Products beside the token ids. */
export const textFields = ['attention_mask', 'token_type_ids', 'position_ids'] as const;

interface Texts {
  readonly first: readonly string[];
  readonly second: readonly string[] | undefined;
}

/**
 * Texts of a table (or lines of a .txt file) as token ids, padded to the longest of the batch.
 * @param modelDir where the tokenizer may be, when it is not beside the data
 * @throws UserError when a column is missing, a cell is no text, or there is no tokenizer
 */
export async function openTextSource(
  name: string,
  spec: TextSpec,
  resolve: (file: string) => Promise<string>,
  modelDir: string | undefined,
): Promise<Source> {
  const dirs =
    spec.tokenizer === undefined
      ? [await resolve('.'), ...(modelDir === undefined ? [] : [modelDir])]
      : [await resolve(spec.tokenizer)];
  const tokenizer = await openTokenizer(dirs);
  const read = async (file: string): Promise<Texts> => {
    const path = await resolve(file);
    const table = await openTable(path, spec.pair === undefined ? [spec.column] : [spec.column, spec.pair]);
    const column = (of: string): string[] =>
      table.column(of).map((cell, row) => {
        if (typeof cell === 'string') return cell;
        throw new UserError('dataset-text', `Input "${name}": row ${row + 1} of ${path} has no text in "${of}".`);
      });
    return { first: column(spec.column), second: spec.pair === undefined ? undefined : column(spec.pair) };
  };
  const evaluation = await read(spec.file);
  const calibration = spec.calibration === undefined ? undefined : await read(spec.calibration);
  return new TextSource(spec, tokenizer, { eval: evaluation, calibration });
}

class TextSource implements Source {
  readonly shape: readonly (number | null)[];
  readonly dtype: DType;
  readonly preparation: string;
  readonly #spec: TextSpec;
  readonly #tokenizer: Tokenizer;
  readonly #texts: Readonly<Record<Split, Texts | undefined>>;
  readonly #maxLength: number | undefined;
  /** The batch made last: its products are asked for one by one. */
  #made: { readonly key: string; readonly rows: readonly Tokens[] } = { key: '', rows: [] };

  constructor(spec: TextSpec, tokenizer: Tokenizer, texts: Readonly<Record<Split, Texts | undefined>>) {
    this.#spec = spec;
    this.#tokenizer = tokenizer;
    this.preparation = tokenizer.digest;
    this.#texts = texts;
    this.#maxLength = spec.maxLength ?? tokenizer.maxLength;
    this.dtype = spec.dtype ?? 'int64';
    this.shape = [null, spec.padding === 'max' ? (this.#maxLength ?? null) : null];
    if (spec.padding === 'max' && this.#maxLength === undefined)
      throw new UserError(
        'dataset-format',
        'dataset.json: padding "max" needs "maxLength"; the tokenizer names no length.',
      );
  }

  count(split: Split): number {
    return this.#texts[split]?.first.length ?? 0;
  }

  read(split: Split, indices: readonly number[], dtype: DType): Promise<Tensor> {
    return this.#tensor(split, indices, dtype, this.#tokenizer.pad, ({ ids }) => ids);
  }

  readonly take = (field: string, split: Split, indices: readonly number[], dtype: DType): Promise<Tensor> => {
    if (field === 'attention_mask') return this.#tensor(split, indices, dtype, 0, ({ ids }) => ids.map(() => 1));
    if (field === 'token_type_ids') return this.#tensor(split, indices, dtype, 0, ({ types }) => types);
    if (field === 'position_ids') return this.#tensor(split, indices, dtype, 0, ({ ids }) => ids.map((_, at) => at));
    throw new UserError(
      'dataset-format',
      `dataset.json: "take" names "${field}"; texts give ${textFields.join(', ')} beside their ids.`,
    );
  };

  digest(split: Split, index: number): Promise<string> {
    const texts = this.#texts[split];
    return Promise.resolve(digestOf(JSON.stringify([texts?.first[index], texts?.second?.[index]])));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #tensor(
    split: Split,
    indices: readonly number[],
    dtype: DType,
    pad: number,
    of: (tokens: Tokens) => readonly number[],
  ): Promise<Tensor> {
    const rows = this.#rows(split, indices);
    const longest = Math.max(1, ...rows.map(({ ids }) => ids.length));
    const length = this.#spec.padding === 'max' ? (this.#maxLength ?? longest) : longest;
    const values = new Float64Array(rows.length * length).fill(pad);
    for (const [row, tokens] of rows.entries()) {
      const shift = this.#tokenizer.padSide === 'left' ? length - tokens.ids.length : 0;
      values.set(of(tokens), row * length + shift);
    }
    return Promise.resolve(tensorOfNumbers(dtype, [rows.length, length], values));
  }

  #rows(split: Split, indices: readonly number[]): readonly Tokens[] {
    const key = `${split} ${indices.join()}`;
    if (this.#made.key === key) return this.#made.rows;
    const texts = this.#texts[split];
    const encode = (first: string, second: string | undefined): Tokens =>
      this.#tokenizer.encode(first, second, this.#maxLength);
    const at = (list: readonly string[] | undefined, index: number): string => list?.[index] ?? '';
    const rows =
      texts?.second === undefined || this.#spec.encode === 'together'
        ? indices.map((index) => encode(at(texts?.first, index), texts?.second && at(texts.second, index)))
        : [texts.first, texts.second].flatMap((list) => indices.map((index) => encode(at(list, index), undefined)));
    this.#made = { key, rows };
    return rows;
  }
}
