import type { Finding } from '../report/gate/finding.ts';
import type { GateResult } from '../report/gate/gate.ts';
import { columns, printable, widthOf } from './columns.ts';
import type { TextSink } from './io.ts';
import type { Talk } from './talk.ts';

/** What the gate found, a rule a line; on a terminal the sentences wrap beside their rule. */
export function printFindings({ ok, findings, machine, baseline }: GateResult, talk: Talk, out: TextSink): void {
  const { style } = talk;
  const mark = ({ fails, status }: Finding): string => {
    if (fails) return style.red('failed');
    return { ok: style.green('ok'), failed: style.yellow('warning'), undecided: style.yellow('undecided') }[status];
  };
  talk.out(
    columns(
      findings.map((finding) => [mark(finding), style.bold(finding.rule), printable(finding.sentence)]),
      { width: widthOf(out) },
    ),
  );
  talk.out('');
  if (baseline && baseline.machine !== machine)
    talk.out(
      style.dim(
        `baseline of ${baseline.createdAt} from machine ${baseline.machine}, this report from ${machine}: times are not compared`,
      ),
    );
  const failing = findings.filter(({ fails }) => fails).length;
  const warned = findings.filter(({ fails, status }) => !fails && status === 'failed').length;
  const open = findings.filter(({ fails, status }) => !fails && status === 'undecided').length;
  const rules = (count: number): string => `${count} ${count === 1 ? 'rule' : 'rules'}`;
  const more = `${warned > 0 ? `, ${warned === 1 ? '1 broken rule only warns' : `${warned} broken rules only warn`}` : ''}${open > 0 ? `, ${rules(open)} undecided` : ''}`;
  talk.out(ok ? style.green(`The gate passes${more}.`) : style.red(`The gate fails: ${rules(failing)} broken${more}.`));
}
