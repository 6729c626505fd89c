import { resolve } from 'node:path';
import { diffHtml } from '../../reports/diff/html.ts';
import { diffMarkdown } from '../../reports/diff/markdown.ts';
import { reports } from '../../reports/index.ts';
import { bug } from '../errors.ts';
import { diffReports } from '../report/diff/diff.ts';
import { packageVersion } from '../target/package-root.ts';
import type { Session } from './command.ts';
import { printDiff } from './diff-table.ts';
import { requireWritable } from './output.ts';
import { readReport } from './read-report.ts';
import { writeAtomically } from './write.ts';

interface ReportFlags {
  readonly format: string;
  readonly out?: string;
  readonly force?: boolean;
}

/** The work of `mlpack report`. */
export async function reportCommand(file: string, flags: ReportFlags, session: Session): Promise<void> {
  const { report } = await readReport(file, session.io.cwd);
  const reporter = reports.find((one) => one.id === flags.format) ?? bug(`no reporter ${flags.format}`);
  await give(reporter.render(report), flags, session);
}

/** The work of `mlpack report diff`. */
export async function diffCommand(
  files: readonly [string, string],
  flags: ReportFlags,
  session: Session,
): Promise<void> {
  const [before, after] = [
    await readReport(files[0], session.io.cwd),
    await readReport(files[1], session.io.cwd),
  ] as const;
  const diff = diffReports(before.report, after.report);
  const format = session.json && flags.format === 'terminal' ? 'json' : flags.format;
  switch (format) {
    case 'terminal':
      if (flags.out === undefined) return printDiff(diff, session.talk, session.io.stdout);
      return give(diffMarkdown(diff), { ...flags, format: 'md' }, session);
    case 'html':
      return give(diffHtml(diff, packageVersion()), flags, session);
    case 'md':
      return give(diffMarkdown(diff), flags, session);
    default:
      return give(`${JSON.stringify(diff, null, 2)}\n`, { ...flags, format: 'json' }, session);
  }
}

/** To the file, or to standard output. */
async function give(text: string, flags: ReportFlags, session: Session): Promise<void> {
  if (flags.out === undefined) {
    // One JSON document is the promise of --json: the report itself, or the text of another format inside one.
    if (session.json && flags.format !== 'json') session.talk.json({ ok: true, format: flags.format, text });
    else session.io.stdout.write(text.endsWith('\n') || text === '' ? text : `${text}\n`);
    return;
  }
  const path = resolve(session.io.cwd, flags.out);
  await requireWritable(path, flags.out, { makesFolders: false });
  await writeAtomically(path, text, flags.force === true);
  if (session.json) session.talk.json({ ok: true, format: flags.format, file: path });
  else session.talk.note(`wrote ${flags.out}`);
}
