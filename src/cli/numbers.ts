import { InvalidArgumentError } from 'commander';

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

/** A number from 0, or a share of something: `1%`. */
export function numberOrShare(text: string): number | `${number}%` {
  const share = /^(\d+(?:\.\d+)?)%$/.exec(text.trim())?.[1];
  return share === undefined ? number(text) : `${Number(share)}%`;
}

/** Whole numbers from 1, comma-separated; the flag may be given again. */
export function counts(text: string, previous: readonly number[] | undefined): number[] {
  return [...(previous ?? []), ...text.split(',').map((one) => count(one.trim()))];
}
