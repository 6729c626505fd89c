/** What happens beside an answer: drift, a second version in the shadow, and labels that come back. */

import { classesOf, rowFeatures } from './drift.mjs';
import { halfToNumber } from './half.mjs';
import { Remembered } from './remembered.mjs';

/** Labels over which accuracy is taken. */
const accuracyWindow = 500;
/** Rows of predictions that are remembered in all, two bytes each: requests may have any number of them. */
const mostRows = 2_000_000;
/** Up to here a list is smaller. */
const fewRows = 16;
/** A longer id is nobody's who wants to find it again. */
const longestId = 256;

export class Monitor {
  #services;
  #shadowing = 0;
  /** { id, model, version, classes } of the last requests */
  #predictions;
  /** `model/version` → { model, version, digest, last: verdicts, true: right } */
  #verdicts = new Map();

  /** @param services { config, models, metrics, log } */
  constructor(services) {
    this.#services = services;
    this.#predictions = new Remembered(services.config.feedbackRequests, mostRows);
  }

  /** Before the inputs go over to a session. @returns what `after` needs */
  before(served, feeds) {
    served.drift?.sawInputs(feeds);
    const shadow = this.#shadowOf(served);
    return {
      shadow,
      feeds: shadow === undefined ? undefined : feeds.map((feed) => ({ ...feed, data: feed.data.slice() })),
    };
  }

  after(served, { shadow, feeds }, results, id) {
    served.drift?.sawOutputs(results);
    this.#remember(served, results, id);
    if (shadow !== undefined) void this.#compare(served, shadow, feeds, results);
  }

  /** The same for an answer from the cache, which nobody is asked about. */
  cached(served, feeds, results, id) {
    served.drift?.sawInputs(feeds);
    served.drift?.sawOutputs(results);
    this.#remember(served, results, id);
  }

  #shadowOf(served) {
    const { config, models } = this.#services;
    if (config.shadow === 'none' || served.info.version === config.shadow) return undefined;
    // The shadow never holds up the answers: it is left out while it has work.
    if (Math.random() * 100 >= config.shadowPercent || this.#shadowing >= 8) return undefined;
    return models.other(served.info.name, config.shadow);
  }

  async #compare(served, shadow, feeds, results) {
    const { metrics, log } = this.#services;
    this.#shadowing++;
    try {
      const names = Object.keys(results).sort();
      const { results: others } = await shadow.run(feeds, names);
      const [mine, theirs] = [readable(served.info, results), readable(shadow.info, others)];
      const agrees = names.every((name) => sameAnswer(name, mine[name], theirs[name]));
      metrics.shadowed(served.info, shadow.info, agrees ? 'same' : 'different');
    } catch (error) {
      metrics.shadowed(served.info, shadow.info, 'failed');
      log.debug({ err: error }, 'the version in the shadow failed');
    } finally {
      this.#shadowing--;
    }
  }

  #remember({ info }, results, id) {
    if (id === undefined || id.length > longestId) return;
    const classes = firstClasses(readable(info, results));
    if (classes === undefined) return;
    // There are 10,000 classes at most (drift.mjs). An array of its own type costs 200 bytes, a list of one number 56.
    const kept = classes.length > fewRows ? Uint16Array.from(classes) : classes;
    const { name: model, version, digest } = info;
    this.#predictions.add({ id, model, version, digest, classes: kept, weight: kept.length });
  }

  /**
   * The true classes of a request that was answered.
   * @param {string} id of the request (its `id`, else the x-request-id) @param {number[]} labels one for each row
   * @returns {{ right: number, rows: number } | undefined} undefined: nobody remembers that request
   */
  feedback(id, labels) {
    const kept = this.#predictions.get(id);
    if (kept === undefined || kept.classes.length !== labels.length) return undefined;
    this.#predictions.forget(id);
    const right = labels.map((label, row) => label === kept.classes[row]);
    // Labels of one that was replaced under its number, or is gone, say nothing about who answers now.
    const present = this.#services.models.other(kept.model, kept.version);
    const accuracy =
      present !== undefined && present.info.digest === kept.digest ? this.#accuracy(kept, right) : undefined;
    this.#services.metrics.labelled(kept, right, accuracy);
    return { right: right.filter(Boolean).length, rows: right.length };
  }

  /** Share of right answers among the last ones; undefined until there are enough. */
  #accuracy({ model, version, digest }, right) {
    const key = `${model}/${version}`;
    let verdicts = this.#verdicts.get(key);
    if (verdicts?.digest !== digest) {
      verdicts = { model, version, digest, last: [] };
      for (const [other, one] of this.#verdicts)
        if (this.#services.models.other(one.model, one.version) === undefined) this.#verdicts.delete(other);
      this.#verdicts.set(key, verdicts);
    }
    const { last } = verdicts;
    last.push(...right.slice(-accuracyWindow));
    last.splice(0, Math.max(0, last.length - accuracyWindow));
    return last.length >= accuracyWindow ? last.filter(Boolean).length / last.length : undefined;
  }
}

/** Half-precision numbers are bits in the results, of which -1 is larger than 1. */
function readable({ outputs }, results) {
  if (!outputs.some(({ datatype }) => datatype === 'FP16')) return results;
  const halves = new Set(outputs.filter(({ datatype }) => datatype === 'FP16').map(({ name }) => name));
  return Object.fromEntries(
    Object.entries(results).map(([name, { dims, data }]) => [
      name,
      { dims, data: halves.has(name) ? Float32Array.from(data, halfToNumber) : data },
    ]),
  );
}

/** Of the first output that says classes. */
function firstClasses(results) {
  for (const { dims, data } of Object.values(results)) {
    const classes = classesOf(dims, data);
    if (classes !== undefined) return classes;
  }
  return undefined;
}

/** The same class for every row; where there are no classes, within a hundredth of the largest finite value; NaN and infinities are met. */
function sameAnswer(name, a, b) {
  if (b === undefined || a.dims.join() !== b.dims.join()) return false;
  const [left, right] = [a, b].map(({ dims, data }) => rowFeatures(name, dims, data, true));
  if (left[0]?.kind === 'class') return left[0].values.every((value, i) => value === right[0].values[i]);
  if (Array.isArray(a.data)) return a.data.every((value, i) => value === b.data[i]);
  const finite = (value) => (Number.isFinite(Number(value)) ? Math.abs(Number(value)) : 0);
  const scale = a.data.reduce((max, value) => Math.max(max, finite(value)), 0);
  return a.data.every((value, i) => {
    const [mine, theirs] = [Number(value), Number(b.data[i])];
    return Object.is(mine, theirs) || Math.abs(mine - theirs) <= 0.01 * scale;
  });
}
