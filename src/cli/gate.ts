import { mkdir, readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { githubAnnotations } from '../../reports/gate/github.ts';
import { junitXml } from '../../reports/gate/junit.ts';
import { gateMarkdown } from '../../reports/gate/markdown.ts';
import { loadConfig } from '../config/load.ts';
import { UserError } from '../errors.ts';
import { checkBaseline, type GateResult, gate } from '../report/gate.ts';
import type { Finding } from '../report/gate-judge.ts';
import { parseReport } from '../report/parse.ts';
import type { Report } from '../report/report.ts';
import type { Session } from './command.ts';
import { exitCodes } from './io.ts';
import { type Talk, table } from './talk.ts';
import { writeAtomically } from './write.ts';

export interface GateFlags {
  readonly baseline?: string;
  readonly config?: string;
  readonly variant?: string;
  readonly format: 'terminal' | 'json' | 'junit' | 'github' | 'md';
  readonly strict?: boolean;
  readonly updateBaseline?: boolean;
}

/**
 * The work of `mlpack gate`. With --update-baseline the stored baseline is not read: what is replaced has no say, so that a
 * changed model can be stored, and a first one.
 * @returns 1 when a rule of level `error` is broken
 */
export async function gateCommand(file: string, flags: GateFlags, session: Session): Promise<number> {
  const { io, talk } = session;
  const path = resolve(io.cwd, file);
  const text = await readFile(path, 'utf8');
  const report = parseReport(text, `"${file}"`);
  const { config } = await loadConfig(flags.config, io.cwd);
  const baseline = flags.updateBaseline ? undefined : await readBaseline(flags.baseline, report, session);
  const target = flags.updateBaseline ? baselinePath(flags.baseline, session) : undefined;
  const result = gate(report, config.gate ?? {}, {
    ...(flags.variant !== undefined && { variant: flags.variant }),
    ...(baseline && { baseline }),
    // Where the baseline is being replaced, rules about it cannot be judged, and that is no reason to fail.
    strict: flags.strict === true && target === undefined,
  });
  print(result, session.json ? 'json' : flags.format, session);
  if (!result.ok) {
    if (target !== undefined) talk.warn(`the baseline "${flags.baseline}" stays as it is, for the gate failed.`);
    return exitCodes.gate;
  }
  if (target !== undefined) {
    await mkdir(dirname(target), { recursive: true });
    await writeAtomically(target, text, true);
    talk.note(`stored as the baseline: ${flags.baseline}`);
  }
  return exitCodes.ok;
}

function baselinePath(named: string | undefined, { io }: Session): string {
  if (named === undefined)
    throw new UserError('baseline.none', 'where is the baseline to be stored? Give --baseline <report.json> too.');
  return resolve(io.cwd, named);
}

async function readBaseline(named: string | undefined, report: Report, { io }: Session): Promise<Report | undefined> {
  if (named === undefined) return undefined;
  const baseline = parseReport(await readFile(resolve(io.cwd, named), 'utf8'), `the baseline "${named}"`);
  checkBaseline(report, baseline, `"${named}"`);
  return baseline;
}

function print(result: GateResult, format: GateFlags['format'], { io, talk }: Session): void {
  switch (format) {
    case 'json':
      talk.json(result);
      break;
    case 'junit':
      io.stdout.write(junitXml(result));
      break;
    case 'github':
      io.stdout.write(githubAnnotations(result));
      break;
    case 'md':
      io.stdout.write(gateMarkdown(result));
      break;
    default:
      printTerminal(result, talk);
  }
}

function printTerminal({ ok, findings }: GateResult, talk: Talk): void {
  const { style } = talk;
  const mark = ({ fails, status }: Finding): string => {
    if (fails) return style.red('failed');
    return { ok: style.green('ok'), failed: style.yellow('warning'), undecided: style.yellow('undecided') }[status];
  };
  talk.out(table(findings.map((finding) => [mark(finding), style.bold(finding.rule), finding.sentence])));
  talk.out('');
  const failing = findings.filter(({ fails }) => fails).length;
  const open = findings.filter(({ fails, status }) => !fails && status === 'undecided').length;
  const rules = (count: number): string => `${count} ${count === 1 ? 'rule' : 'rules'}`;
  const more = open > 0 ? `, ${rules(open)} undecided` : '';
  talk.out(ok ? style.green(`The gate passes${more}.`) : style.red(`The gate fails: ${rules(failing)} broken${more}.`));
}
