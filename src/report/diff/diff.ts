/** Two runs side by side: what got better, worse, or cannot be told apart. A pure function; renderers are in reports/diff. */
import { formatMs } from '../../messages.ts';
import { baseOf, downloadBytes, variantOf } from '../facts.ts';
import { isSameModel } from '../gate/baseline.ts';
import { fingerprint, machineDifference } from '../machine.ts';
import type { Report, VariantResult } from '../report.ts';
import { formatPart, formatSize } from '../words.ts';
import { accuracyRow, latencyRows } from './measured.ts';
import { type DiffRow, exactRow, type Pair, scatteredRow } from './row.ts';

export interface VariantDiff {
  readonly name: string;
  /** `both`, or the one run that has it. */
  readonly in: 'both' | 'before' | 'after';
  readonly verdict: { readonly before: string | null; readonly after: string | null };
  /** The same bytes in both runs; null where a file is missing. */
  readonly sameFile: boolean | null;
  /** Why there is nothing to compare, in a sentence; empty where there is. */
  readonly note: string;
  readonly rows: readonly DiffRow[];
}

export interface RunInfo {
  readonly command: string;
  readonly createdAt: string;
  readonly machine: string;
  readonly tool: string;
  readonly ort: string;
}

export interface ReportDiff {
  readonly before: RunInfo;
  readonly after: RunInfo;
  /** What makes the two runs differ before anything is measured, in sentences. */
  readonly differences: readonly string[];
  /** By target: what is recommended. */
  readonly recommendations: readonly {
    readonly target: string;
    readonly before: string | null;
    readonly after: string | null;
  }[];
  readonly variants: readonly VariantDiff[];
}

export function diffReports(before: Report, after: Report): ReportDiff {
  const names = [...new Set([...after.variants, ...before.variants].map(({ name }) => name))];
  const targets = [...new Set([...after.targets, ...before.targets])];
  const chosen = (report: Report, target: string): string | null =>
    report.recommendations.find((one) => one.target === target)?.variant ?? null;
  return {
    before: runOf(before),
    after: runOf(after),
    differences: differencesOf(before, after),
    recommendations: targets.map((target) => ({
      target,
      before: chosen(before, target),
      after: chosen(after, target),
    })),
    variants: names.map((name) => variantDiff(name, before, after)),
  };
}

const runOf = ({ command, createdAt, host, tool }: Report): RunInfo => ({
  command,
  createdAt,
  machine: fingerprint(host),
  tool: tool.version,
  ort: host.ort,
});

function differencesOf(before: Report, after: Report): string[] {
  const machine = machineDifference(after.host, before.host);
  const differ = (what: string, was: unknown, is: unknown): string[] =>
    was === is ? [] : [`${what}: ${String(was)} before, ${String(is)} after`];
  const hash = (report: Report): string => `${report.input.sha256.slice(0, 12)}…, ${formatSize(report.input.bytes)}`;
  return [
    ...(isSameModel(before, after) ? [] : [`another model: ${hash(before)} before, ${hash(after)} after`]),
    ...(machine === undefined
      ? []
      : [
          `another machine: ${machine.replaceAll(' there', ' before').replaceAll(' here', ' after')}; times and memory are not compared`,
        ]),
    ...differ('data', dataWords(before), dataWords(after)),
    ...differ('mlpack', before.tool.version, after.tool.version),
    ...differ('largest drop allowed', before.limits.maxDrop, after.limits.maxDrop),
    ...differ('seed', before.seed, after.seed),
  ];
}

function dataWords({ data }: Report): string {
  if (!data || data.synthetic) return 'made-up inputs';
  return `${data.samples} samples of ${data.name}${data.sha256 === undefined ? '' : ` (${data.sha256.slice(0, 12)}…)`}`;
}

function variantDiff(name: string, before: Report, after: Report): VariantDiff {
  const was = variantOf(before, name);
  const is = variantOf(after, name);
  const verdict = { before: was?.verdict ?? null, after: is?.verdict ?? null };
  const nothing = { name, verdict, sameFile: null, rows: [] };
  if (!was || !is) {
    const note = was ? `only in the earlier run: ${was.verdict}` : `only in the later run: ${is?.verdict}`;
    return { ...nothing, in: was ? 'before' : 'after', note };
  }
  const [empty] = [was, is].filter(({ file }) => file === null);
  if (empty) {
    const note = `no file in the ${empty === is ? 'later' : 'earlier'} run: ${empty.reasons[0] ?? 'no reason is given'}`;
    return { ...nothing, in: 'both', note };
  }
  const pair: Pair = {
    before: { report: before, variant: was },
    after: { report: after, variant: is },
    sameMachine: machineDifference(after.host, before.host) === undefined,
    sameFile: was.sha256 !== null && was.sha256 === is.sha256,
  };
  return {
    name,
    in: 'both',
    verdict,
    note: '',
    sameFile: was.sha256 === null || is.sha256 === null ? null : was.sha256 === is.sha256,
    rows: rowsOf(pair).filter((row) => row !== undefined),
  };
}

/** Difference of base from itself as a share; 0 where it is another file, or was not measured. */
function driftOf({ before, after }: Pair, pick: (variant: VariantResult) => number | null | undefined): number {
  const [was, is] = [baseOf(before.report), baseOf(after.report)];
  if (!was || !is || was.sha256 === null || was.sha256 !== is.sha256) return 0;
  const [a, b] = [pick(was), pick(is)];
  return a && b ? Math.abs(a - b) / Math.max(a, b) : 0;
}

function rowsOf(pair: Pair): (DiffRow | undefined)[] {
  const of = (pick: (variant: VariantResult) => number | null | undefined) =>
    [pick(pair.before.variant), pick(pair.after.variant)] as const;
  const count = (value: number): string => value.toLocaleString('en-US');
  return [
    exactRow(
      'file',
      of((one) => one.bytes),
      formatSize,
    ),
    exactRow('download', of(downloadBytes), formatSize),
    accuracyRow(pair),
    exactRow(
      'agreement with base',
      of((one) => one.fidelity?.agreement),
      formatPart,
      'more',
    ),
    ...latencyRows(pair),
    scatteredRow(
      'memory at its peak',
      of((one) => one.peakRssBytes),
      formatSize,
      { ...pair, drift: driftOf(pair, (one) => one.peakRssBytes) },
    ),
    scatteredRow(
      'time to load',
      of((one) => one.sessionMs),
      formatMs,
      { ...pair, drift: driftOf(pair, (one) => one.sessionMs) },
    ),
    scatteredRow(
      'first inference',
      of((one) => one.firstMs),
      formatMs,
      { ...pair, drift: driftOf(pair, (one) => one.firstMs) },
    ),
    exactRow(
      'nodes on integers',
      of((one) => one.audit?.quantizedNodes),
      count,
      'more',
    ),
    exactRow(
      'leftover Q/DQ',
      of((one) => one.audit?.leftoverQdq),
      count,
    ),
    exactRow(
      'inserted casts',
      of((one) => one.audit?.insertedCasts),
      count,
    ),
  ];
}
