import type { Finding } from '../../src/report/gate/finding.ts';
import type { GateResult } from '../../src/report/gate/gate.ts';

/**
 * Workflow commands: one annotation for each rule that is broken or undecided
 * (https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
 */
export function githubAnnotations({ findings, model }: GateResult): string {
  return findings
    .filter((finding) => finding.status !== 'ok')
    .map(
      (finding) =>
        `::${kind(finding)} file=${property(model)},title=${property(`mlpack gate: ${finding.rule}`)}::${data(finding.sentence)}\n`,
    )
    .join('');
}

const kind = ({ fails, status }: Finding): string => (fails ? 'error' : status === 'failed' ? 'warning' : 'notice');

/** A line break or a percent sign would end the message or start another command. */
const data = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

const property = (text: string): string => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
