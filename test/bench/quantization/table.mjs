/** The rows as a Markdown table: ours / theirs in each cell. @param {readonly import('./job.mjs').Row[]} rows */
export function printTable(rows) {
  const head = ['model', 'format', 'metric (float)', 'ours', 'theirs', 'dB', 'size, % of float', 'latency, × float', 'wall, s', 'RSS, MB'];
  const lines = [head, head.map(() => '---'), ...rows.map(cells)];
  process.stdout.write(`${lines.map((line) => `| ${line.join(' | ')} |`).join('\n')}\n\n`);
  for (const row of rows)
    for (const one of row.all)
      if (one.failed) process.stdout.write(`- ${row.model}, ${row.format}, ${one.side} ${one.name} failed: ${one.failed}\n`);
}

function cells({ model, format, metric, base, baseBytes, ours, theirs }) {
  const pair = (of) => `${of(ours)} / ${of(theirs)}`;
  const figure = (of) => (side) => {
    const number = side && !side.failed ? of(side) : undefined;
    return number === undefined || Number.isNaN(number) ? '–' : number;
  };
  const side = (one) => (one ? (one.failed ? `fails (${one.name})` : `${digits(one.value)} (${one.name})`) : '–');
  return [
    model,
    format,
    `${metric}${base === undefined ? '' : ` ${digits(base)}`}`,
    side(ours),
    side(theirs),
    pair(figure(({ sqnrDb }) => (sqnrDb === Number.POSITIVE_INFINITY ? '∞' : sqnrDb.toFixed(1)))),
    pair(figure(({ bytes }) => ((100 * bytes) / baseBytes).toFixed(1))),
    pair(figure(({ ratio }) => ratio?.toFixed(2))),
    pair(figure(({ wallMs }) => (wallMs / 1000).toFixed(1))),
    pair(figure(({ rssBytes }) => rssBytes && (rssBytes / 1e6).toFixed(0))),
  ];
}

const digits = (value) => (value === undefined ? '–' : Math.abs(value) >= 10 ? value.toFixed(2) : value.toFixed(4));
