import { UserError } from '../errors.ts';

/** Which bundle this is among those of its model, and which one to go back to. */
export interface Release {
  /** Semantic version. */
  readonly version: string;
  /** The bundle that this one follows: what to return to when it disappoints. `manifest` is the SHA-256 of its `mlpack.json`. */
  readonly previous: { readonly version: string; readonly manifest: string } | null;
}

/** What a bundle is when nobody says. */
export const firstRelease: Release = { version: '1.0.0', previous: null };

const identifier = '(?:0|[1-9]\\d*|\\d*[A-Za-z-][0-9A-Za-z-]*)';
const number = '(0|[1-9]\\d*)';
const pattern = new RegExp(
  `^${number}\\.${number}\\.${number}(?:-(${identifier}(?:\\.${identifier})*))?(?:\\+[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*)?$`,
);

/** Semantic Versioning 2.0, without a leading `v`. @throws UserError `release-version`. */
export function requireVersion(text: string): string {
  if (pattern.test(text)) return text;
  throw new UserError('release-version', `"${text}" is no semantic version such as 1.4.0 or 2.0.0-rc.1.`);
}

/** Negative where `a` comes before `b` (Semantic Versioning 2.0, section 11). Both must be versions. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [pattern.exec(a), pattern.exec(b)];
  for (const part of [1, 2, 3]) {
    const difference = Number(left?.[part]) - Number(right?.[part]);
    if (difference !== 0) return difference;
  }
  return comparePrerelease(left?.[4], right?.[4]);
}

function comparePrerelease(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  const [left, right] = [a.split('.'), b.split('.')];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]];
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    if (x === y) continue;
    const [numeric, other] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (numeric && other) return Number(x) - Number(y);
    if (numeric !== other) return numeric ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}

/**
 * The release that follows `previous`: the version given, else the next patch.
 * @throws UserError `release-downgrade` for a version that does not come after it.
 */
export function nextRelease(version: string | undefined, previous: Release['previous']): Release {
  if (!previous) return { version: requireVersion(version ?? firstRelease.version), previous: null };
  const [, major, minor, patch, prerelease] = pattern.exec(previous.version) ?? [];
  const next = version ?? `${major}.${minor}.${prerelease === undefined ? Number(patch) + 1 : patch}`;
  if (compareVersions(requireVersion(next), previous.version) <= 0) {
    throw new UserError(
      'release-downgrade',
      `Version ${next} does not come after ${previous.version} of the previous bundle; give a higher one, or go back to a version with a channel's rollback.`,
    );
  }
  return { version: next, previous };
}
