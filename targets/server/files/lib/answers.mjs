/** What all answers over HTTP have in common, whichever way a request went (app.mjs, direct.mjs). */

import { randomUUID } from 'node:crypto';
import { chooseEncoding, encodingNames } from './encoding.mjs';
import { RequestError } from './errors.mjs';

export function requestId(given) {
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : inOnePiece(randomUUID());
}

const piece = Buffer.alloc(36);

/** V8 keeps what randomUUID puts together as a tree of 470 bytes; the last 10,000 ids are remembered (monitor.mjs). In one piece it has 64. */
function inOnePiece(uuid) {
  piece.write(uuid, 'latin1');
  return piece.toString('latin1');
}

/**
 * How an error leaves: always as `{error}`. What is not the client's fault is told in brief.
 * @returns {{ status: number, headers: Record<string, string | number>, message: string, unexpected: boolean }} unexpected: to
 *   be logged in full
 */
export function answerTo(error) {
  const status = error.status ?? error.statusCode ?? 500;
  if (status >= 500 && !(error instanceof RequestError)) {
    return { status: 500, headers: {}, message: 'internal error', unexpected: true };
  }
  const headers = {};
  if (error.retryAfter !== undefined) headers['retry-after'] = error.retryAfter;
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (status === 415) headers['accept-encoding'] = encodingNames.join(', ');
  // Fastify repeats a path that it cannot take; however long that is, nobody needs to read it again.
  return { status, headers, message: error.message.slice(0, 500), unexpected: false };
}

/**
 * JSON answers are compressed where the client asks for it. Measured: 2 kB become half in 0.1 ms, which pays below 80 Mbit/s, 19 kB
 * below 390. Binary tensors become 9 % smaller at most, and are sent as they are.
 * @param {string} type of the content @param {number} least bytes; 0: never
 * @returns {{ vary: boolean, encoding: string | undefined }} vary: whether the answer depends on what the client accepts
 */
export function encodingOf(type, length, least, accepted) {
  if (least === 0 || length < least || !type.startsWith('application/json')) return asItIs;
  return { vary: true, encoding: chooseEncoding(accepted) };
}

const asItIs = { vary: false, encoding: undefined };
