/** Prometheus metrics: Triton's names, so that dashboards made for it work, and histograms of what it only sums up. */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { Tally } from './tally.mjs';

const labels = ['model', 'version'];
const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is counted for each request and each run; the numbers below are places in these lists. */
const ofRequests = {
  nv_inference_request_success: 'Requests that were answered',
  nv_inference_request_duration_us: 'Microseconds of requests, from first byte to answer',
  nv_inference_queue_duration_us: 'Microseconds that requests waited for a session',
  nv_inference_compute_input_duration_us: 'Microseconds of reading and checking inputs',
  nv_inference_compute_infer_duration_us: 'Microseconds of runs of the model',
  nv_inference_compute_output_duration_us: 'Microseconds of writing outputs',
  nv_inference_count: 'Rows that were answered',
  nv_inference_exec_count: 'Runs of the model',
};
const [success, requestUs, queueUs, inputUs, inferUs, outputUs, count, execCount] = Object.keys(ofRequests).keys();
const distributions = {
  mlpack_request_seconds: { help: 'Seconds of a request, from first byte to answer', edges: seconds },
  mlpack_queue_seconds: { help: 'Seconds that a request waited for a session', edges: seconds },
  mlpack_infer_seconds: { help: 'Seconds of a run of the model', edges: seconds },
  mlpack_batch_rows: { help: 'Rows in one run', edges: [1, 2, 4, 8, 16, 32, 64, 128] },
};
const [requestSeconds, queueSeconds, inferSeconds, batchRows] = Object.keys(distributions).keys();

export class Metrics {
  #tally;
  /** `model/version` → features that were compared */
  #features = new Map();

  /** @param state { waiting: () => [{ info, waiting, breaker }] } asked when somebody reads the metrics */
  constructor(state) {
    this.registry = new Registry();
    collectDefaultMetrics({ register: this.registry });
    const counter = (name, help, more = []) =>
      new Counter({ name, help, labelNames: [...labels, ...more], registers: [this.registry] });
    this.#tally = new Tally(this.registry, ofRequests, distributions);
    this.failure = counter('nv_inference_request_failure', 'Requests that were not answered, by reason', ['reason']);
    this.cacheHits = counter('nv_cache_num_hits_per_model', 'Answers from the cache');
    this.cacheMisses = counter('nv_cache_num_misses_per_model', 'Requests that the cache could not answer');
    this.loadFailures = counter('mlpack_model_load_failures_total', 'Versions that could not be loaded');
    this.fallbacks = counter('mlpack_fallback_total', 'Requests answered by another version since this one fails');
    this.#watching();
    this.#gauges(state);
  }

  #watching() {
    const gauge = (name, help, more = []) =>
      new Gauge({ name, help, labelNames: [...labels, ...more], registers: [this.registry] });
    this.psi = gauge('mlpack_drift_psi', 'Population stability index of the last window against the evaluation data', [
      'feature',
    ]);
    this.driftP = gauge('mlpack_drift_p_value', 'p of Kolmogorov-Smirnov (numbers) or chi-squared (classes)', [
      'feature',
    ]);
    this.shift = gauge(
      'mlpack_prediction_shift',
      'Share of predictions that went to other classes than in the evaluation data',
      ['feature'],
    );
    this.accuracy = gauge('mlpack_accuracy', 'Share of right answers among the last 500 with a label');
    this.referenceAccuracy = gauge('mlpack_reference_accuracy', 'The same on the evaluation data');
    const counter = (name, help, more) =>
      new Counter({ name, help, labelNames: [...labels, ...more], registers: [this.registry] });
    this.windows = counter('mlpack_drift_windows_total', 'Windows that were compared with the evaluation data', [
      'feature',
    ]);
    this.feedback = counter('mlpack_feedback_total', 'Answers with a label, right or wrong', ['right']);
    this.shadow = counter('mlpack_shadow_total', 'Answers compared with those of another version', [
      'shadow',
      'outcome',
    ]);
  }

  /** One window of one feature: { psi, p, shift? }. */
  drifted(info, feature, { psi, p, shift }) {
    const id = { ...idOf(info), feature };
    const key = `${info.name}/${info.version}`;
    this.#features.set(key, (this.#features.get(key) ?? new Set()).add(feature));
    this.windows.inc(id);
    this.psi.set(id, psi);
    this.driftP.set(id, p);
    if (shift !== undefined) this.shift.set(id, shift);
  }

  /** A version is gone: what its last window and labels said is true of nothing any more. What was counted stays. */
  removed(info) {
    const id = idOf(info);
    const key = `${info.name}/${info.version}`;
    for (const feature of this.#features.get(key) ?? [])
      for (const gauge of [this.psi, this.driftP, this.shift]) gauge.remove({ ...id, feature });
    this.#features.delete(key);
    for (const gauge of [this.accuracy, this.referenceAccuracy]) gauge.remove(id);
  }

  shadowed(info, shadow, outcome) {
    this.shadow.inc({ ...idOf(info), shadow: shadow.version, outcome });
  }

  /** @param {{ model, version }} id @param {boolean[]} right @param {number} [accuracy] once there are labels enough */
  labelled({ model, version }, right, accuracy) {
    for (const one of right) this.feedback.inc({ model, version, right: String(one) });
    if (accuracy !== undefined) this.accuracy.set({ model, version }, accuracy);
  }

  #gauges(state) {
    const gauge = (name, help, read) =>
      new Gauge({
        name,
        help,
        labelNames: labels,
        registers: [this.registry],
        collect() {
          this.reset();
          for (const served of state.all()) this.set(idOf(served.info), read(served));
        },
      });
    gauge('nv_inference_pending_request_count', 'Requests that wait for a session', ({ waiting }) => waiting);
    gauge('mlpack_breaker_open', '1 while the circuit breaker of a version is open', ({ breaker }) =>
      Number(breaker.open),
    );
    gauge(
      'mlpack_session_inline',
      '1 where runs are in the thread that speaks HTTP, 0 in threads of their own',
      ({ inline }) => Number(inline),
    );
    this.default = new Gauge({
      name: 'mlpack_default_version',
      help: '1 for the version that answers requests without a version',
      labelNames: labels,
      registers: [this.registry],
    });
  }

  /** One run: { rows, inferMs, failed }. */
  ran(info, { rows, inferMs, failed }) {
    if (failed) return;
    const counts = this.#tally.of(info);
    counts.totals[execCount]++;
    counts.totals[count] += rows;
    this.#tally.observe(counts, inferSeconds, inferMs / 1000);
    this.#tally.observe(counts, batchRows, rows);
  }

  /** One request that was answered; all times in milliseconds. */
  answered(info, { totalMs, inputMs, queueMs, inferMs, outputMs }) {
    const counts = this.#tally.of(info);
    const { totals } = counts;
    totals[success]++;
    totals[requestUs] += totalMs * 1000;
    totals[inputUs] += inputMs * 1000;
    totals[queueUs] += queueMs * 1000;
    totals[inferUs] += inferMs * 1000;
    totals[outputUs] += outputMs * 1000;
    this.#tally.observe(counts, requestSeconds, totalMs / 1000);
    this.#tally.observe(counts, queueSeconds, queueMs / 1000);
  }

  failed(info, reason) {
    this.failure.inc({ ...idOf(info), reason });
  }

  loadFailed(model, version) {
    this.loadFailures.inc({ model, version });
  }

  chosen(model, version, before) {
    if (before !== undefined) this.default.remove({ model, version: before });
    if (version !== undefined) this.default.set({ model, version }, 1);
  }
}

function idOf({ name, version }) {
  return { model: name, version };
}
