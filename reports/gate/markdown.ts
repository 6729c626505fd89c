import type { GateResult } from '../../src/report/gate.ts';
import type { Finding } from '../../src/report/gate-judge.ts';
import { code, table, text } from '../markdown/write.ts';

/** For a job summary or a comment on a pull request: what fails first. */
export function gateMarkdown({ ok, model, findings }: GateResult): string {
  const rank = (finding: Finding): number => (finding.fails ? 0 : { failed: 1, undecided: 2, ok: 3 }[finding.status]);
  const rows = [...findings]
    .sort((a, b) => rank(a) - rank(b))
    .map((finding) => [code(finding.rule), mark(finding), text(finding.sentence)]);
  return `## mlpack gate: ${ok ? 'passed' : 'failed'}\n\n${code(model)}\n\n${table(['rule', 'result', ''], rows)}\n`;
}

const mark = ({ fails, status }: Finding): string =>
  fails ? '❌ failed' : { ok: '✅ ok', failed: '⚠️ warning', undecided: '❔ undecided' }[status];
