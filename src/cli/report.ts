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
    // One JSON document is the promise of --json: the report itself, or the text of another format inside one.
    if (session.json && flags.format !== 'json') session.talk.json({ ok: true, format: flags.format, text });
    else session.io.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
    return;
  }
  await requireWritable(resolve(session.io.cwd, flags.out), flags.out, { makesFolders: false });
  await writeAtomically(resolve(session.io.cwd, flags.out), text, flags.force === true);
  if (session.json) session.talk.json({ ok: true, format: flags.format, file: resolve(session.io.cwd, flags.out) });
  else session.talk.note(`wrote ${flags.out}`);
}
