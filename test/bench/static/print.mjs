// Rows of compareStatic as a table.

const cell = (value, digits, unit = '') => (Number.isFinite(value) ? `${value.toFixed(digits)}${unit}` : '–');

/** @returns lines */
export function tableOf(title, rows) {
  return [
    '',
    title,
    '  variant             score     dB      MB    p50 ms  vs fp32          tool s   RSS MB',
    ...rows.map(lineOf),
  ];
}

function lineOf(row) {
  if (row.failure) return `  ${row.name.padEnd(16)} ${row.failure.slice(0, 110)}`;
  const interval = row.interval ? `[${row.interval.map((bound) => bound.toFixed(2)).join(', ')}]` : '';
  return `  ${row.name.padEnd(16)} ${cell(row.value, 4).padStart(8)} ${cell(row.db, 1).padStart(6)} ${cell(row.mb, 3).padStart(7)} ${cell(row.p50, 3).padStart(9)}  ${cell(row.ratio, 2)} ${interval.padEnd(14)} ${cell(row.seconds, 1).padStart(6)} ${cell(row.rssMb, 0).padStart(7)}`;
}
