/** Rows of tensors: joining requests along their first dimension and taking the answer apart again. */

/** A tensor's elements `from` to `to`: a view, but of strings, which are lists. */
function cut(data, from, to) {
  return Array.isArray(data) ? data.slice(from, to) : data.subarray(from, to);
}

function join(parts, allocate) {
  if (Array.isArray(parts[0])) return parts.flat();
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const Store = parts[0].constructor;
  const whole = new Store(allocate(total * Store.BYTES_PER_ELEMENT), 0, total);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * What two requests must share to run as one: every dimension but the first, of every input. Undefined where the inputs of a request have
 * different first dimensions, as those may that have no name in common: behind each other their rows would meet others.
 */
export function shapeKey(feeds) {
  if (feeds.some(({ shape }) => shape[0] !== feeds[0].shape[0])) return undefined;
  return feeds.map(({ name, shape }) => `${name}:${shape.slice(1).join('x')}`).join('|');
}

/**
 * Feeds of several requests as one. All have the same `shapeKey`. `allocate`: bytes → ArrayBuffer of at least that many.
 * `copies`: also where there is one alone, whose memory is not only its own.
 */
export function joinFeeds(requests, allocate = (bytes) => new ArrayBuffer(bytes), copies = false) {
  // Also the way of models whose inputs have no rows to join: a number alone has no dimension at all.
  if (requests.length === 1 && !copies) return requests[0];
  return requests[0].map(({ name, dtype, shape }, i) => {
    const parts = requests.map((feeds) => feeds[i]);
    const rows = parts.reduce((sum, part) => sum + part.shape[0], 0);
    return {
      name,
      dtype,
      shape: [rows, ...shape.slice(1)],
      data: join(
        parts.map(({ data }) => data),
        allocate,
      ),
    };
  });
}

/**
 * Takes results apart into those of each request: views, since each answer is written to bytes of its own, and a copy of its own for every client
 * would be one more piece of garbage outside of V8's heap.
 * @param {number[]} counts rows of each request
 * @returns one results object per request, or undefined where an output does not have one row for each row that went in
 */
export function splitResults(results, counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const entries = Object.entries(results);
  if (entries.some(([, { dims }]) => dims[0] !== total)) return undefined;
  let start = 0;
  return counts.map((count) => {
    const [from, to] = [start, start + count];
    start = to;
    return Object.fromEntries(
      entries.map(([name, { dims, data }]) => {
        const row = data.length / total;
        return [name, { dims: [count, ...dims.slice(1)], data: cut(data, from * row, to * row) }];
      }),
    );
  });
}

/** Rows `from` to `to` of feeds, as views. */
function rowsOf(feeds, from, to) {
  return feeds.map((feed) => {
    const row = feed.data.length / feed.shape[0];
    return { ...feed, shape: [to - from, ...feed.shape.slice(1)], data: cut(feed.data, from * row, to * row) };
  });
}

/**
 * Runs feeds of many rows in parts of at most `most`; whoever else has something to do in this thread is asked in between. For models whose
 * rows do not depend on each other.
 * @param {(feeds: object[]) => Promise<object>} run @returns results as `run` gives them for all of the rows
 */
export async function inParts(run, feeds, most) {
  const total = feeds[0].shape[0];
  // Rows without elements may be as many as somebody writes down, and cost the model nothing.
  const asOne = ({ shape, data }) => shape[0] !== total || data.length === 0;
  if (total <= most || feeds.some(asOne)) return run(feeds);
  const parts = [];
  for (let at = 0; at < total; at += most) parts.push(await run(rowsOf(feeds, at, Math.min(total, at + most))));
  const entries = Object.entries(parts[0]).map(([name, { dims }]) => {
    const pieces = parts.map((part) => part[name]);
    const rows = pieces.reduce((sum, piece) => sum + piece.dims[0], 0);
    const data = join(
      pieces.map((piece) => piece.data),
      (bytes) => new ArrayBuffer(bytes),
    );
    return [name, { dims: [rows, ...dims.slice(1)], data }];
  });
  return Object.fromEntries(entries);
}
