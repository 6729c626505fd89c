/**
 * Whether what comes in, and what goes out, still looks like the evaluation data. `rowFeatures` says what is looked at; mlpack
 * makes the reference (reference.json) with the same function.
 */

/** A tensor of up to this many elements a row is looked at element by element, a larger one by mean and deviation. */
const maxElements = 64;
/** Elements of a large row that are looked at, evenly spread. */
const sampled = 1024;

/** Values of one tensor, by feature: [{ name, kind: 'number' | 'class', values: number[] }], one value for each row. */
export function rowFeatures(name, dims, data, isOutput) {
  const rows = dims[0] ?? 1;
  if (Array.isArray(data) || rows === 0 || data.length % rows !== 0) return [];
  const size = data.length / rows;
  const at = (row, i) => Number(data[row * size + i]);
  const each = (read) => Array.from({ length: rows }, (_, row) => read(row));
  const classes = isOutput ? classesOf(dims, data) : undefined;
  if (classes !== undefined) return [{ name: `${name}.class`, kind: 'class', classes: size, values: classes }];
  if (size <= maxElements) {
    return Array.from({ length: size }, (_, i) => ({
      name: size === 1 ? name : `${name}[${i}]`,
      kind: 'number',
      values: each((row) => at(row, i)),
    }));
  }
  const moments = each((row) => momentsOf(at, row, size));
  return ['mean', 'deviation'].map((key) => ({
    name: `${name}.${key}`,
    kind: 'number',
    values: moments.map((one) => one[key]),
  }));
}

/** The class of each row (-1 for nothing but NaN), where an output's rows are scores of classes; else undefined. */
export function classesOf(dims, data) {
  const rows = dims[0] ?? 1;
  if (Array.isArray(data) || rows === 0 || dims.length !== 2) return undefined;
  const size = data.length / rows;
  if (!Number.isInteger(size) || size < 2 || size > 10_000) return undefined;
  const classes = [];
  for (let row = 0; row < rows; row++) classes.push(largest(data, row * size, size));
  return classes;
}

/** The place of the largest; NaN is never larger than another. */
function largest(data, from, size) {
  let at = -1;
  let best;
  for (let i = 0; i < size; i++) {
    const value = data[from + i];
    if (at < 0 ? !Number.isNaN(value) : value > best) {
      at = i;
      best = value;
    }
  }
  return at;
}

function momentsOf(at, row, size) {
  const step = Math.ceil(size / sampled);
  // From the first value on: squares of large values that differ by little would leave no digits for the deviation.
  const first = Number.isFinite(at(row, 0)) ? at(row, 0) : 0;
  let [count, sum, squares] = [0, 0, 0];
  for (let i = 0; i < size; i += step) {
    const value = at(row, i) - first;
    count++;
    sum += value;
    squares += value * value;
  }
  const mean = sum / count;
  return { mean: first + mean, deviation: Math.sqrt(Math.max(0, squares / count - mean * mean)) };
}

/** The bin of a value: bin i holds what is at most edges[i], the last one the rest, NaN too. */
export function binOf(edges, value) {
  let [low, high] = [0, edges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= edges[middle]) high = middle;
    else low = middle + 1;
  }
  return Number.isNaN(value) ? edges.length : low;
}

/** Population stability index of two counts; half a row in each bin keeps empty ones finite. */
export function stabilityIndex(expected, actual) {
  const share = (counts) => {
    const total = counts.reduce((sum, count) => sum + count, 0) + counts.length * 0.5;
    return counts.map((count) => (count + 0.5) / total);
  };
  const [p, q] = [share(expected), share(actual)];
  return p.reduce((sum, one, i) => sum + (q[i] - one) * Math.log(q[i] / one), 0);
}

/** Two-sample Kolmogorov-Smirnov on binned counts: the largest distance of the distributions, and its p-value (asymptotic). */
export function kolmogorovSmirnov(expected, actual) {
  const [n, m] = [expected, actual].map((counts) => counts.reduce((sum, count) => sum + count, 0));
  let [a, b, distance] = [0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    a += expected[i] / n;
    b += actual[i] / m;
    distance = Math.max(distance, Math.abs(a - b));
  }
  const size = Math.sqrt((n * m) / (n + m));
  const lambda = (size + 0.12 + 0.11 / size) * distance;
  let p = 0;
  for (let k = 1; k <= 100; k++) p += 2 * (k % 2 === 1 ? 1 : -1) * Math.exp(-2 * k * k * lambda * lambda);
  return { distance, p: lambda < 0.2 ? 1 : Math.min(1, Math.max(0, p)) };
}

/** Chi-squared test that two counts come from one distribution. Classes that neither has seen do not count. */
export function chiSquared(expected, actual) {
  const [n, m] = [expected, actual].map((counts) => counts.reduce((sum, count) => sum + count, 0));
  let [statistic, used] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const both = expected[i] + actual[i];
    if (both === 0) continue;
    used++;
    for (const [count, total] of [
      [expected[i], n],
      [actual[i], m],
    ]) {
      const wanted = (both * total) / (n + m);
      statistic += (count - wanted) ** 2 / wanted;
    }
  }
  return { statistic, p: used < 2 ? 1 : upperGamma((used - 1) / 2, statistic / 2) };
}

/** Regularized upper incomplete gamma function Q(a, x): series below a + 1, continued fraction (Lentz) above. */
function upperGamma(a, x) {
  if (x <= 0) return 1;
  const factor = Math.exp(-x + a * Math.log(x) - logGamma(a));
  if (x < a + 1) {
    let [term, sum] = [1 / a, 1 / a];
    for (let n = 1; n < 1000 && term > sum * 1e-15; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return Math.max(0, 1 - sum * factor);
  }
  let b = x + 1 - a;
  let c = 1e300;
  let d = 1 / b;
  let h = d;
  for (let n = 1; n < 1000; n++) {
    const an = -n * (n - a);
    b += 2;
    d = 1 / (an * d + b || 1e-300);
    c = b + an / c || 1e-300;
    h *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return factor * h;
}

/** Logarithm of the gamma function (Lanczos). */
function logGamma(x) {
  const g = [
    76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 0.001208650973866179,
    -0.000005395239384953,
  ];
  const base = x + 5.5 - (x + 0.5) * Math.log(x + 5.5);
  return (
    -base + Math.log((2.5066282746310005 * g.reduce((sum, one, i) => sum + one / (x + 1 + i), 1.000000000190015)) / x)
  );
}

/** Share of predictions that went to other classes than in the reference: half the sum of differences. */
export function shiftOf(expected, actual) {
  const [n, m] = [expected, actual].map((counts) => counts.reduce((sum, count) => sum + count, 0));
  return expected.reduce((sum, count, i) => sum + Math.abs(count / n - actual[i] / m), 0) / 2;
}

/** Counts what a model version sees, window by window, and compares each full window with the reference. */
export class Drift {
  #features;
  #seen = { inputs: 0, outputs: 0 };

  /** @param reference { features: [{ name, kind, edges?, counts }] } @param {number} rows in a window @param report (name, kind, result) */
  constructor(reference, { rows, report }) {
    this.rows = rows;
    this.report = report;
    this.#features = new Map(reference.features.map((one) => [one.name, { ...one, window: one.counts.map(() => 0) }]));
  }

  sawInputs(feeds) {
    for (const { name, shape, data } of feeds) this.#count(rowFeatures(name, shape, data, false));
    this.#close('inputs', feeds[0]?.shape[0] ?? 1, (feature) => feature.side !== 'output');
  }

  sawOutputs(results) {
    const entries = Object.entries(results);
    for (const [name, { dims, data }] of entries) this.#count(rowFeatures(name, dims, data, true));
    this.#close('outputs', entries[0]?.[1].dims[0] ?? 1, (feature) => feature.side === 'output');
  }

  #count(features) {
    for (const { name, kind, values } of features) {
      const known = this.#features.get(name);
      if (known === undefined || known.kind !== kind) continue;
      for (const value of values) {
        const bin = kind === 'class' ? value : binOf(known.edges, value);
        if (bin >= 0 && bin < known.window.length) known.window[bin]++;
      }
    }
  }

  #close(side, rows, belongs) {
    this.#seen[side] += rows;
    if (this.#seen[side] < this.rows) return;
    this.#seen[side] = 0;
    for (const feature of this.#features.values()) {
      if (!belongs(feature)) continue;
      const { name, kind, counts, window } = feature;
      feature.window = counts.map(() => 0);
      if (window.some((count) => count > 0)) this.report(name, kind, compare(kind, counts, window));
    }
  }
}

function compare(kind, expected, actual) {
  const psi = stabilityIndex(expected, actual);
  if (kind === 'class') return { psi, p: chiSquared(expected, actual).p, shift: shiftOf(expected, actual) };
  return { psi, p: kolmogorovSmirnov(expected, actual).p };
}
