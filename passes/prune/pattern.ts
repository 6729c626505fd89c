import { UserError } from '../../src/errors.ts';

/** Which zeros are allowed: anywhere, N of M neighbours along the inputs, or whole groups of neighbours. */
export type Pattern =
  | { readonly kind: 'share' }
  | { readonly kind: 'n-of-m'; readonly n: number; readonly m: number }
  | { readonly kind: 'groups'; readonly size: number };

/** What goes from one tensor: so many weights, all but N of each M, or so many groups. */
export type Cut =
  | { readonly kind: 'share'; readonly drop: number }
  | { readonly kind: 'n-of-m'; readonly n: number; readonly m: number }
  | { readonly kind: 'groups'; readonly size: number; readonly drop: number };

/** `2:4` → n-of-m, `block32` → groups, `none` → share. @throws UserError for anything else. */
export function parsePattern(text: string): Pattern {
  if (text === 'none') return { kind: 'share' };
  const [, n, m] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (n !== undefined && Number(n) >= 1 && Number(n) < Number(m) && Number(m) <= 64)
    return { kind: 'n-of-m', n: Number(n), m: Number(m) };
  const [, size] = /^block(\d+)$/.exec(text) ?? [];
  if (size !== undefined && Number(size) >= 2 && Number(size) <= 1024) return { kind: 'groups', size: Number(size) };
  throw new UserError(
    'prune-pattern',
    `"${text}" is no pruning pattern: write none, N:M with 1 ≤ N < M ≤ 64 (2:4), or blockN with N from 2 to 1024 (block32).`,
  );
}
