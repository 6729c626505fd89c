/** Text of files and streams, and where it was none. */

import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';

/** What stands in the text for bytes that are not UTF-8; it may have been in the file itself. */
export const replacement = '\ufffd';

/**
 * Pieces of the text of a stream of bytes, without a byte order mark.
 * @returns {AsyncGenerator<{ text: string, damaged: boolean }>} damaged: bytes of the piece are not UTF-8
 */
export async function* textPieces(input) {
  const decoder = new StringDecoder('utf8');
  let first = true;
  for await (const bytes of input) {
    const text = decoder.write(bytes);
    yield { text: first ? text.replace(/^\ufeff/, '') : text, damaged: text.includes(replacement) && !isText(bytes) };
    if (text !== '') first = false;
  }
  const rest = decoder.end();
  if (rest !== '') yield { text: rest, damaged: true };
}

/** Whether bytes are UTF-8 but for a letter that is cut at either end. */
function isText(bytes) {
  let [from, to] = [0, bytes.length];
  while (from < 3 && (bytes[from] & 0xc0) === 0x80) from++;
  for (let back = 1; back <= 3 && to === bytes.length; back++) if (bytes[to - back] >= 0xc0) to -= back;
  return isUtf8(bytes.subarray(from, to));
}
