import { UserError } from '../errors.ts';
import { type DType, dtypes, isDType } from '../ir/dtype.ts';
import { elementCount } from '../ir/tensor.ts';
import { nearest } from '../messages.ts';
import { isCastable } from './cast.ts';

/** A sample of more elements is a mistake: no typed array of floats could hold a batch of it. */
const maxElements = 2 ** 30;

type Json = Readonly<Record<string, unknown>>;

/** Reads the fields of one JSON object of dataset.json, and at last (`done`) refuses what nobody asked for. */
export class Fields {
  readonly #where: string;
  readonly #json: Json;
  readonly #asked = new Set<string>();

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid(`${where} must be an object`);
    this.#json = value as Json;
    this.#where = where;
  }
  /** `labels.file`; keys of the file itself go by their own name. */
  #place(key: string): string {
    return this.#where === 'the file' ? `"${key}"` : `${this.#where}.${key}`;
  }
  has(key: string): boolean {
    this.#asked.add(key);
    return this.#json[key] !== undefined;
  }
  get(key: string): unknown {
    this.#asked.add(key);
    return this.#json[key];
  }
  text(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || (typeof value === 'string' && value !== '')) return value;
    throw invalid(`${this.#place(key)} must be a text`);
  }
  requiredText(key: string): string {
    return this.text(key) ?? this.missing(key);
  }
  number(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    throw invalid(`${this.#place(key)} must be a number`);
  }
  count(key: string, least = 1): number | undefined {
    const value = this.number(key);
    if (value !== undefined && (!Number.isSafeInteger(value) || value < least)) {
      throw invalid(`${this.#place(key)} must be a whole number of at least ${least}`);
    }
    return value;
  }
  flag(key: string): boolean {
    const value = this.get(key) ?? false;
    if (typeof value !== 'boolean') throw invalid(`${this.#place(key)} must be true or false`);
    return value;
  }
  /** A number or a list of numbers. */
  numbers(key: string): number[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? (value as unknown[]) : [value];
    if (list.length === 0 || !list.every((item) => typeof item === 'number' && Number.isFinite(item))) {
      throw invalid(`${this.#place(key)} must be a number or a list of numbers`);
    }
    return list as number[];
  }
  dims(key: string): number[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((dim) => Number.isSafeInteger(dim) && (dim as number) >= 0)) {
      throw invalid(`${this.#place(key)} must be a list of sizes`);
    }
    const dims = value as number[];
    if (elementCount(dims) > maxElements) {
      throw invalid(`${this.#where}.${key} makes samples of more than ${maxElements} elements`);
    }
    return dims;
  }
  texts(key: string): string[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      throw invalid(`${this.#place(key)} must be a list of texts`);
    }
    return value;
  }
  choice<const T extends string>(key: string, choices: readonly T[], fallback: T): T {
    const value = this.get(key) ?? fallback;
    if (choices.includes(value as T)) return value as T;
    throw invalid(`${this.#place(key)} must be one of ${choices.join(', ')}`);
  }
  /** Sizes, among them `"batch"` for the samples of the batch. */
  batchDims(key: string): (number | 'batch')[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    const isSize = (dim: unknown): boolean => dim === 'batch' || (Number.isSafeInteger(dim) && (dim as number) >= 0);
    if (!Array.isArray(value) || !value.every(isSize))
      throw invalid(`${this.#place(key)} must be a list of sizes, or "batch"`);
    if (elementCount(value.map((dim) => (dim === 'batch' ? 1 : (dim as number)))) > maxElements)
      throw invalid(`${this.#where}.${key} makes samples of more than ${maxElements} elements`);
    return value as (number | 'batch')[];
  }
  dtype(key = 'dtype'): DType | undefined {
    const value = this.text(key);
    if (value === undefined || isDType(value)) return value;
    throw invalid(`${this.#where}.${key} is "${value}", which is no element type${nearest(value, dtypes)}`);
  }
  /** An element type that numbers can be turned into. */
  numericType(): DType | undefined {
    const dtype = this.dtype();
    if (dtype === undefined || isCastable(dtype)) return dtype;
    throw invalid(`${this.#where}.dtype is "${dtype}", which cannot be made from numbers`);
  }
  missing(key: string): never {
    throw invalid(`${this.#where} lacks "${key}"`);
  }
  done(): void {
    for (const key of Object.keys(this.#json)) {
      if (!this.#asked.has(key))
        throw invalid(`${this.#where} has an unknown key "${key}"${nearest(key, [...this.#asked])}`);
    }
  }
}

export function invalid(what: string): UserError {
  return new UserError('dataset-format', `dataset.json: ${what}.`);
}
