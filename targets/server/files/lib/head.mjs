/**
 * The head of a request in its plainest form. Only what has one meaning is read here; undefined is no refusal, it says that
 * node:http shall look at it.
 */

/** Bytes of a head that are looked at: it comes with one read (front.mjs). Longer ones are node:http's, which takes 16 kB. */
export const maxHead = 8192;

const requestLine = /^POST (\/[!-~]{1,1000}) HTTP\/1\.1$/;
const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([!-~](?:[ -~]*[!-~])?)?[ \t]*$/;
/** Headers that change what the bytes mean, or how the connection goes on. */
const elsewhere = new Set([
  'transfer-encoding',
  'expect',
  'upgrade',
  'trailer',
  'te',
  'proxy-connection',
  'http2-settings',
]);

/** @param {string} text without the empty line @returns {{ url: string, headers: Record<string, string> } | undefined} */
export function plainHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const url = requestLine.exec(first)?.[1];
  if (url === undefined) return undefined;
  const headers = Object.create(null);
  for (const line of lines) {
    const [, name, value = ''] = field.exec(line) ?? [];
    if (name === undefined) return undefined;
    const key = name.toLowerCase();
    // Given twice, a header is a list, the first one, or an error, depending on its name.
    if (elsewhere.has(key) || key in headers) return undefined;
    headers[key] = value;
  }
  const { host, connection = 'keep-alive', 'content-length': length } = headers;
  const plain = host !== undefined && connection.toLowerCase() === 'keep-alive' && /^\d{1,10}$/.test(length ?? '');
  return plain ? { url, headers } : undefined;
}
