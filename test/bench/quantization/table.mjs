import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

const page = new URL('../../../docs/quantization.md', import.meta.url);
/** Places in the page, and the commands that write them. */
const places = { rivals: 'npm run bench:quantization -- --page', times: 'node test/bench/pass-time.mjs --page' };

const head = [
  'model (metric, float)',
  'ours',
  'theirs',
  'dB',
  'size, % of float',
  'latency, × float',
  'wall, s',
  'quickest, s',
  'RSS, MB',
];

/** The rows as Markdown tables, one for each format: ours / theirs in each cell. @param {readonly import('./job.mjs').Row[]} rows */
export function tableOf(rows) {
  const formats = [...new Set(rows.map(({ format }) => format))];
  return formats.map((format) => section(format, rows.filter((row) => row.format === format))).join('\n');
}

/**
 * Replaces one of the tables in the page; of its sections only those that are among the new ones, so that a run of one part leaves the others.
 * @param {keyof typeof places} place
 */
export function writePage(place, table) {
  const text = readFileSync(page, 'utf8');
  const [begin, end] = [`<!-- ${place}: written by ${places[place]} -->`, `<!-- ${place} end -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${page.pathname} has no place for the table: ${begin} … ${end}`);
  const machine = `${cpus()[0]?.model.trim()}, ${cpus().length} cores`;
  const merged = merge(text.slice(from + begin.length, to), table);
  writeFileSync(page, `${text.slice(0, from)}${begin}\n\n${machine}. Node ${process.version}.\n\n${merged}\n${text.slice(to)}`);
}

function merge(before, table) {
  const sections = new Map();
  for (const text of [before, table])
    for (const section of text.split(/^(?=### )/m))
      if (section.startsWith('### ')) sections.set(section.slice(0, section.indexOf('\n')), section.trimEnd());
  return sections.size > 0 ? `${[...sections.values()].join('\n\n')}\n` : table;
}

function section(format, rows) {
  const lines = [head, head.map(() => '---'), ...rows.map(cells)].map((line) => `| ${line.join(' | ')} |`);
  const failures = rows.flatMap((row) =>
    row.all.filter(({ failed }) => failed).map((one) => `- ${row.model}, ${sides[one.side]} ${one.name}: ${one.failed}`),
  );
  return `### ${format}\n\n${lines.join('\n')}\n${failures.length > 0 ? `\n${failures.join('\n')}\n` : ''}`;
}

const sides = { ours: 'our', theirs: 'their' };

function cells({ model, metric, base, baseBytes, ours, theirs, all }) {
  const pair = (of) => `${of(ours)} / ${of(theirs)}`;
  const figure = (of) => (side) => {
    const number = side && !side.failed ? of(side) : undefined;
    return number === undefined || Number.isNaN(number) ? '–' : number;
  };
  const side = (one) => (one ? (one.failed ? `– (${one.name})` : `${digits(one.value)} (${one.name})`) : '–');
  return [
    `${model} (${metric}${base === undefined ? '' : ` ${digits(base)}`})`,
    side(ours),
    side(theirs),
    // JSON knows no infinity: identical outputs come back as null.
    pair(figure(({ sqnrDb }) => (Number.isFinite(sqnrDb) ? sqnrDb.toFixed(1) : '∞'))),
    pair(figure(({ bytes }) => ((100 * bytes) / baseBytes).toFixed(1))),
    pair(figure(({ ratio }) => ratio?.toFixed(2))),
    pair(figure(({ wallMs }) => (wallMs / 1000).toFixed(1))),
    pair((side) => quickest(all.filter((one) => !one.failed && one.side === (side === ours ? 'ours' : 'theirs')))),
    pair(figure(({ rssBytes }) => rssBytes && (rssBytes / 1e6).toFixed(0))),
  ];
}

/** Wall time of the candidate of one side that took least: the plainest job, where the best may be the one that searches longest. */
const quickest = (list) => (list.length > 0 ? (Math.min(...list.map(({ wallMs }) => wallMs)) / 1000).toFixed(1) : '–');

const digits = (value) => (value === undefined ? '–' : Math.abs(value) >= 10 ? value.toFixed(2) : value.toFixed(4));
