import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { reports } from '../../reports/index.ts';
import { bug } from '../errors.ts';
import { parseReport } from '../report/parse.ts';
import type { Session } from './command.ts';
import { requireWritable } from './output.ts';
import { writeAtomically } from './write.ts';

interface ReportFlags {
  readonly format: string;
  readonly out?: string;
  readonly force?: boolean;
}

/** The work of `mlpack report`. */
export async function reportCommand(file: string, flags: ReportFlags, session: Session): Promise<void> {
  const report = parseReport(await readFile(resolve(session.io.cwd, file), 'utf8'));
  const reporter = reports.find((one) => one.id === flags.format) ?? bug(`no reporter ${flags.format}`);
  const text = reporter.render(report);
  if (flags.out === undefined) {
    session.io.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    return;
  }
  await requireWritable(resolve(session.io.cwd, flags.out), flags.out, { makesFolders: false });
  await writeAtomically(resolve(session.io.cwd, flags.out), text, flags.force === true);
  session.talk.note(`wrote ${flags.out}`);
}
