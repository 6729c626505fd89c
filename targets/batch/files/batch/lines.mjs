/** JSON Lines, and a program that answers each line: what `mlpack check` talks to. */

import { createReadStream } from 'node:fs';
import { planInputs } from './mapping.mjs';
import { predict } from './predict.mjs';
import { problem } from './problem.mjs';
import { replacement, textPieces } from './utf8.mjs';

/** Objects of a file or stream; a line that is no JSON object stands as { [problem]: why }. */
export async function* jsonLines(source) {
  for await (const { line, damaged } of textLines(typeof source === 'string' ? createReadStream(source) : source)) {
    if (line.trim() !== '') yield damaged ? { [problem]: 'the line is not UTF-8' } : readRecord(line);
  }
}

/** Lines end in a line feed alone: texts may hold U+2028 and U+2029, at which node:readline cuts. Without a byte order mark. */
async function* textLines(input) {
  let pending = [];
  // Of the line that is not whole yet: whether bytes of it were no text.
  let bad = false;
  for await (const { text, damaged } of textPieces(input)) {
    const hurt = (part) => damaged && part.includes(replacement);
    const [begun, ...others] = text.split('\n');
    pending.push(begun);
    bad ||= hurt(begun);
    for (const part of others) {
      yield { line: pending.join(''), damaged: bad };
      pending = [part];
      bad = hurt(part);
    }
  }
  yield { line: pending.join(''), damaged: bad };
}

/** Whole numbers that a JavaScript number would round, as text: ids and hashes of 64 bits go through as they came. */
function exactIntegers(text) {
  const parts = [];
  for (let at = 0; at < text.length; ) {
    const found = text.indexOf('"', at);
    const open = found < 0 ? text.length : found;
    parts.push(text.slice(at, open).replace(wide, (one) => (Number.isSafeInteger(Number(one)) ? one : `"${one}"`)));
    at = endOfString(text, open);
    parts.push(text.slice(open, at));
  }
  return parts.join('');
}

const wide = /(?<![\d.eE+-])-?[1-9]\d{15,}(?![\d.eE])/g;

/** Behind the quote that closes the string which is opened at `open`. */
function endOfString(text, open) {
  for (let close = text.indexOf('"', open + 1); close >= 0; close = text.indexOf('"', close + 1)) {
    let escapes = 0;
    while (text[close - 1 - escapes] === '\\') escapes++;
    if (escapes % 2 === 0) return close + 1;
  }
  return text.length;
}

/** @param {string} text */
export function readRecord(text) {
  try {
    const value = JSON.parse(/\d{16}/.test(text) ? exactIntegers(text) : text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? value
      : { [problem]: 'the line is not an object' };
  } catch {
    return { [problem]: 'the line is not JSON' };
  }
}

/** One answer for each line of stdin, in order, as soon as it is there: {"error": …} where a row cannot be used. */
export async function answerLines(model, given) {
  for await (const row of jsonLines(process.stdin)) {
    const plan = row[problem] === undefined ? planOrProblem(model, given, Object.keys(row)) : row[problem];
    const { good, bad } =
      typeof plan === 'string' ? { good: [], bad: [{ error: plan }] } : await predict(model, plan, [row]);
    const [answer] = good;
    process.stdout.write(`${JSON.stringify(answer ? answer.columns : { error: bad[0].error })}\n`);
  }
}

/** What planInputs plans, or in words why it cannot. */
export function planOrProblem({ info }, given, names) {
  try {
    return planInputs(info, given, names);
  } catch (error) {
    return error.message;
  }
}
