/**
 * Counters and histograms of what happens with every request. prom-client looks each set of labels up by name and hashes it, a dozen
 * times a request; here a model version has one object with plain numbers, and text is made of them when somebody reads the metrics.
 */

class Counts {
  /** @param {number} counters @param {number} histograms @param {number} edges of each */
  constructor(counters, histograms, edges) {
    this.totals = new Float64Array(counters);
    this.histograms = Array.from({ length: histograms }, () => ({ buckets: new Float64Array(edges + 1), sum: 0 }));
  }
}

export class Tally {
  #counters;
  #histograms;
  #edges;
  /** `model version` → { labels, counts } */
  #known = new Map();
  /** info of a version that is served → its counts */
  #byInfo = new WeakMap();

  /**
   * @param registry of prom-client @param {Record<string, string>} counters name → help, in the order of their index
   * @param {Record<string, { help: string, edges: number[] }>} histograms likewise
   */
  constructor(registry, counters, histograms) {
    this.#counters = Object.keys(counters);
    this.#histograms = Object.keys(histograms);
    this.#edges = Object.values(histograms).map(({ edges }) => edges);
    for (const [i, [name, help]] of Object.entries(counters).entries()) {
      registry.registerMetric(this.#metric({ name, help, type: 'counter' }, () => this.#totals(i)));
    }
    for (const [i, [name, { help }]] of Object.entries(histograms).entries()) {
      registry.registerMetric(this.#metric({ name, help, type: 'histogram' }, () => this.#distributions(i, name)));
    }
  }

  #metric(about, read) {
    const metric = { ...about, aggregator: 'sum', reset: () => this.#known.clear() };
    return { ...metric, get: async () => ({ ...about, aggregator: 'sum', values: read() }) };
  }

  #totals(i) {
    return [...this.#known.values()].map(({ labels, counts }) => ({ labels, value: counts.totals[i] }));
  }

  #distributions(i, name) {
    return [...this.#known.values()].flatMap(({ labels, counts }) => {
      const { buckets, sum } = counts.histograms[i];
      let count = 0;
      const rows = [...this.#edges[i], '+Inf'].map((le, at) => {
        count += buckets[at];
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      const whole = [
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
      return count === 0 ? [] : [...rows, ...whole];
    });
  }

  /** The numbers of a version: `add` and `observe` take them. @param info { name, version } */
  of(info) {
    let counts = this.#byInfo.get(info);
    if (counts !== undefined) return counts;
    const { name: model, version } = info;
    const key = `${model} ${version}`;
    const edges = Math.max(...this.#edges.map(({ length }) => length));
    counts = this.#known.get(key)?.counts ?? new Counts(this.#counters.length, this.#histograms.length, edges);
    this.#known.set(key, { labels: { model, version }, counts });
    this.#byInfo.set(info, counts);
    return counts;
  }

  observe(counts, i, value) {
    const histogram = counts.histograms[i];
    const edges = this.#edges[i];
    let at = 0;
    while (at < edges.length && value > edges[at]) at++;
    histogram.buckets[at]++;
    histogram.sum += value;
  }
}
