import { InvalidArgumentError } from 'commander';
import { type DropLimit, dropLimitForm, readDropLimit } from '../drop-limit.ts';

/** A whole number from 0, for flags that seed. */
export function integer(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('Give a whole number from 0.');
  return value;
}

/** A whole number from 1, for flags that count. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0)
    throw new InvalidArgumentError('Give a whole number from 1.');
  return value;
}

/** Any finite number; the command knows the range. */
export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('Give a number.');
  return value;
}

/** What a metric may lose: a number from 0, or a share of base: `1%`. */
export function dropLimit(text: string): DropLimit {
  const limit = readDropLimit(text);
  if (limit === undefined) throw new InvalidArgumentError(`Give ${dropLimitForm}.`);
  return limit;
}

/** Whole numbers from 1, comma-separated; the flag may be given again. */
export function counts(text: string, previous: readonly number[] | undefined): number[] {
  return [...(previous ?? []), ...text.split(',').map((one) => count(one.trim()))];
}
