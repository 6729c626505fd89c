import type { Finding } from '../../src/report/gate/finding.ts';
import { type GateResult, gate } from '../../src/report/gate/gate.ts';
import type { Report } from '../../src/report/report.ts';
import { sentence } from '../../src/report/words.ts';

/**
 * A report as findings, for the forms that CI reads: its verdict and accuracy as the gate judges them where no rules are set, and each
 * rejected variant as a note, for a rejected variant is the tool at work and no failure.
 */
export function findingsOf(report: Report): GateResult {
  const result = gate(report, {});
  const rejected = report.variants
    .filter(({ verdict }) => verdict === 'rejected')
    .map(
      ({ name, reasons }): Finding => ({
        rule: 'variant',
        level: 'warn',
        status: 'undecided',
        fails: false,
        variant: name,
        targets: [],
        value: null,
        limit: null,
        sentence: sentence(`${name}: rejected: ${reasons.join('; ')}`),
      }),
    );
  return { ...result, findings: [...result.findings, ...rejected] };
}
