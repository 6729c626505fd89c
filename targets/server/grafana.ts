/** A panel: what it shows, in what unit, of which queries. */
type Panel = readonly [title: string, unit: string, queries: readonly (readonly [query: string, legend: string])[]];

function panelsOf(selector: string): Panel[] {
  const quantile = (q: number, metric: string): readonly [string, string] => [
    `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${selector}}[$__rate_interval])))`,
    `p${q * 100}`,
  ];
  const rate = (metric: string, more = ''): string => `rate(${metric}{${selector}${more}}[$__rate_interval])`;
  return [
    [
      'Requests a second',
      'reqps',
      [[`sum by (version) (${rate('nv_inference_request_success')})`, 'version {{version}}']],
    ],
    ['Failures by reason', 'reqps', [[`sum by (reason) (${rate('nv_inference_request_failure')})`, '{{reason}}']]],
    ['Latency', 's', [0.5, 0.95, 0.99].map((q) => quantile(q, 'mlpack_request_seconds'))],
    ['Time in the queue', 's', [0.5, 0.99].map((q) => quantile(q, 'mlpack_queue_seconds'))],
    ['Run of the model', 's', [0.5, 0.99].map((q) => quantile(q, 'mlpack_infer_seconds'))],
    [
      'Rows in a run',
      'short',
      [[`sum(${rate('mlpack_batch_rows_sum')}) / sum(${rate('mlpack_batch_rows_count')})`, 'mean']],
    ],
    ['Waiting requests', 'short', [[`sum by (pod) (nv_inference_pending_request_count{${selector}})`, '{{pod}}']]],
    [
      'Answers from the cache',
      'percentunit',
      [
        [
          `sum(${rate('nv_cache_num_hits_per_model')}) / (sum(${rate('nv_cache_num_hits_per_model')}) + sum(${rate('nv_cache_num_misses_per_model')}))`,
          'hits',
        ],
      ],
    ],
    [
      'Drift: population stability index',
      'short',
      [[`max by (feature) (mlpack_drift_psi{${selector}})`, '{{feature}}']],
    ],
    [
      'Predictions that went to other classes',
      'percentunit',
      [[`max by (version) (mlpack_prediction_shift{${selector}})`, 'version {{version}}']],
    ],
    [
      'Accuracy by labels that came back',
      'percentunit',
      [
        [`avg by (version) (mlpack_accuracy{${selector}})`, 'version {{version}}'],
        [`max(mlpack_reference_accuracy{${selector}})`, 'evaluation data'],
      ],
    ],
    [
      'Shadow',
      'reqps',
      [[`sum by (shadow, outcome) (${rate('mlpack_shadow_total')})`, 'version {{shadow}}: {{outcome}}']],
    ],
    ['Memory', 'bytes', [['sum by (pod) (process_resident_memory_bytes{job=~".+"})', '{{pod}}']]],
    ['Event loop lag', 's', [['max by (pod) (nodejs_eventloop_lag_p99_seconds)', 'p99 {{pod}}']]],
  ];
}

/**
 * JSON of a Grafana dashboard: two panels a row, the data source chosen when it is imported.
 * @param plain name of letters, digits and "-": Grafana takes no other in a uid, nor more than 40
 */
export function grafanaDashboard(model: string, plain: string): string {
  const panels = panelsOf(`model="${model}"`).map(([title, unit, queries], i) => ({
    id: i + 1,
    title,
    type: 'timeseries',
    datasource: { type: 'prometheus', uid: '${datasource}' },
    gridPos: { x: (i % 2) * 12, y: Math.floor(i / 2) * 8, w: 12, h: 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], n) => ({ refId: String.fromCharCode(65 + n), expr, legendFormat })),
  }));
  const dashboard = {
    title: `Model ${model}`,
    uid: `mlpack-${plain}`.slice(0, 40),
    tags: ['mlpack'],
    schemaVersion: 39,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' }] },
    panels,
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}
