/** Who may ask, and how often. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { RequestError } from './errors.mjs';

const digest = (text) => createHash('sha256').update(text, 'utf8').digest();

/** The key of a request: `Authorization: Bearer …` or `X-API-Key: …`. */
function keyOf({ authorization, 'x-api-key': apiKey }) {
  if (typeof apiKey === 'string') return apiKey;
  return authorization?.match(/^Bearer +(\S+) *$/i)?.[1];
}

/** @param {{ label: string, key: string }[]} keys; none: everybody may ask */
export function makeAuth(keys) {
  const known = keys.map(({ label, key }) => ({ label, digest: digest(key) }));
  /** The label of the key that a request carries; undefined where no keys are set. @throws RequestError 401 */
  return (headers) => {
    if (known.length === 0) return undefined;
    const given = digest(keyOf(headers) ?? '');
    let label;
    // All are compared, each in constant time, so that the time says nothing about which one came close.
    for (const one of known) if (timingSafeEqual(one.digest, given)) label = one.label;
    if (label === undefined) throw new RequestError('a valid key is needed: Authorization: Bearer … or X-API-Key', 401);
    return label;
  };
}

/** More callers than this are not remembered: the one that has waited longest is forgotten. */
const maxCallers = 10_000;

/** A token bucket for each caller. @param {{ perSecond: number, burst: number, now?: () => number }} limits */
export function makeRateLimit({ perSecond, burst, now = () => performance.now() }) {
  const size = burst > 0 ? burst : Math.max(1, perSecond);
  const buckets = new Map();
  /** @throws RequestError 429 */
  return (caller) => {
    if (perSecond === 0) return;
    const at = now();
    const bucket = buckets.get(caller) ?? { tokens: size, at };
    bucket.tokens = Math.min(size, bucket.tokens + ((at - bucket.at) / 1000) * perSecond);
    bucket.at = at;
    buckets.delete(caller);
    buckets.set(caller, bucket);
    if (buckets.size > maxCallers) buckets.delete(buckets.keys().next().value);
    if (bucket.tokens < 1) {
      const retryAfter = Math.ceil((1 - bucket.tokens) / perSecond);
      throw new RequestError(`more than ${perSecond} requests a second`, 429, { retryAfter, reason: 'REJECTED' });
    }
    bucket.tokens -= 1;
  };
}
