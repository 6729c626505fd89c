import { formatBytes, formatMs, significant } from '../../messages.ts';
import type { Session } from '../command.ts';
import { table } from '../talk.ts';
import type { ProviderBench } from './measure.ts';

/** Operators shown of each model; the rest is in --json and the trace. */
const shownOps = 8;

/** The tables of `mlpack bench`, one provider after the other. */
export function printBench(results: readonly ProviderBench[], { talk }: Session): void {
  for (const result of results) {
    const { provider, info } = result;
    const how = [info.runtime, info.adapter, info.threads !== undefined && `${info.threads} threads`].filter(Boolean);
    talk.out(`${talk.style.bold(provider)}  ${talk.style.dim(how.join(', '))}`);
    if (info.software) talk.out('software adapter: correctness only; its times mean nothing and were not taken');
    printTimes(result, talk);
    printFacts(result, talk);
    for (const [name, why] of result.failures) talk.out(`${name} does not work on ${provider}: ${why}`);
    talk.out('');
  }
}

type Talk = Session['talk'];

function printTimes({ timed, cold }: ProviderBench, talk: Talk): void {
  for (const { setting, report } of timed) {
    const started = cold.size > 0;
    const header = [
      setting.label,
      ...['p50', 'p90', 'p95', 'p99', 'rows/s', '× base', '95 % interval', '', 'session', 'first', 'peak memory'].slice(
        0,
        started ? 11 : 9,
      ),
    ];
    const rows = report.results.map(({ name, latency, sessionMs }, index) => {
      const { p50, p90, p95 = Number.NaN, p99, ratioToBase, ratioCi, call } = latency;
      const start = cold.get(name);
      return [
        name,
        ...[p50, p90, p95, p99].map(formatMs),
        significant((1000 * (setting.batch ?? 1)) / p50, 3),
        ratioToBase.toFixed(2),
        index === 0 ? '' : `${ratioCi[0].toFixed(2)}–${ratioCi[1].toFixed(2)}`,
        call ?? '',
        formatMs(start?.sessionMs ?? sessionMs),
        ...(started ? [start ? formatMs(start.firstMs) : '', start ? formatBytes(start.peakRssBytes) : ''] : []),
      ];
    });
    talk.out(table([header, ...rows], [1, 2, 3, 4, 5, 6, 7, 9, 10, 11]));
    for (const warning of report.warnings) talk.warn(warning);
  }
}

function printFacts({ provider, placement, agreement, profiles, throughput }: ProviderBench, talk: Talk): void {
  for (const [name, { agreement: same, maxAbs, maxSteps, samples }] of agreement) {
    const classes = same === null ? '' : `same class on ${(100 * same).toFixed(1)} % of ${samples}, `;
    const steps = maxSteps === undefined ? '' : ` (${maxSteps} quantization steps)`;
    talk.out(`${name}: against cpu ${classes}largest difference ${significant(maxAbs, 3)}${steps}`);
  }
  for (const [name, { nodes, fallbacks }] of provider.startsWith('cpu') ? [] : placement) {
    const counts = Object.entries(nodes).map(([id, count]) => `${count} on ${id}`);
    talk.out(`${name}: nodes ${counts.join(', ')}`);
    for (const { node, op, provider: on } of fallbacks.slice(0, shownOps))
      talk.out(`  ${op} "${node}" fell back to ${on}`);
    if (fallbacks.length > shownOps) talk.out(`  and ${fallbacks.length - shownOps} more`);
  }
  for (const [name, { ops }] of profiles) {
    const rows = ops
      .slice(0, shownOps)
      .map((one) => [
        one.op,
        `${one.nodes}×`,
        formatMs(one.ms),
        `${(100 * one.share).toFixed(1)} %`,
        one.provider,
        '█'.repeat(Math.round(20 * one.share)),
      ]);
    talk.out(table([[`${name}: operators`, 'nodes', 'ms', 'share', '', ''], ...rows], [1, 2, 3]));
  }
  for (const [name, rates] of throughput) {
    const rows = rates.map((one) => [
      [one.batch !== undefined && `batch ${one.batch}`, one.sequence !== undefined && `sequence ${one.sequence}`]
        .filter(Boolean)
        .join(', '),
      String(one.concurrency),
      significant(one.inferencesPerSecond, 4),
      significant(one.inferencesPerSecond * (one.batch ?? 1), 4),
      formatMs(one.p50),
    ]);
    talk.out(table([[`${name}: throughput`, 'at once', 'runs/s', 'rows/s', 'p50'], ...rows], [1, 2, 3, 4]));
  }
}
