import type { Finding } from '../../src/report/gate/finding.ts';
import type { GateResult } from '../../src/report/gate/gate.ts';
import { code, table, text } from '../markdown/write.ts';

/** For a job summary or a comment on a pull request: what fails first; what was kept is folded where something was not. */
export function gateMarkdown({ ok, model, findings, machine, baseline }: GateResult): string {
  const rank = (finding: Finding): number => (finding.fails ? 0 : { failed: 1, undecided: 2, ok: 3 }[finding.status]);
  const sorted = [...findings].sort((a, b) => rank(a) - rank(b));
  const open = sorted.filter(({ status, fails }) => fails || status !== 'ok');
  const kept = sorted.filter(({ status, fails }) => !fails && status === 'ok');
  const blocks = [
    `## mlpack gate: ${ok ? 'passed' : 'failed'}`,
    `${code(model)} · ${count(findings.filter(({ fails }) => fails).length, 'broken')}, ${count(open.filter(({ fails }) => !fails).length, 'to look at')}, ${count(kept.length, 'kept')}`,
    ...(open.length > 0 ? [findingTable(open)] : []),
    ...(kept.length > 0 && open.length > 0
      ? [`<details><summary>${kept.length} kept</summary>`, findingTable(kept), '</details>']
      : kept.length > 0
        ? [findingTable(kept)]
        : []),
    `<sub>${origin(machine, baseline)}</sub>`,
  ];
  return `${blocks.join('\n\n')}\n`;
}

const findingTable = (findings: readonly Finding[]): string =>
  table(
    ['rule', 'result', ''],
    findings.map((finding) => [code(finding.rule), mark(finding), text(finding.sentence)]),
  );

const count = (number: number, what: string): string => `${number} ${what}`;

const mark = ({ fails, status }: Finding): string =>
  fails ? '❌ failed' : { ok: '✅ ok', failed: '⚠️ warning', undecided: '❔ undecided' }[status];

function origin(machine: string, baseline: GateResult['baseline']): string {
  const here = `Measured on machine ${text(machine)}`;
  if (!baseline) return `${here}; no baseline.`;
  const same = baseline.machine === machine ? 'the same machine' : `another machine, ${text(baseline.machine)}`;
  return `${here}; baseline of ${text(baseline.createdAt)}, from ${same}.`;
}
