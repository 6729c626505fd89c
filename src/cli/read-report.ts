import { readFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { formatBytes } from '../messages.ts';
import { parseReport } from '../report/parse.ts';
import type { Report } from '../report/report.ts';

/** A report of 100 variants with 100,000 reasons each has about 1 GB of text; Node's strings end at half of that. */
const mostBytes = 500_000_000;

/** Whether a file calls itself a report of mlpack, of whatever version. */
export const isReport = (file: string): boolean => readFileSync(file, 'utf8').includes('"mlpack.report/');

export interface ReadReport {
  readonly report: Report;
  /** As it stands in the file. */
  readonly text: string;
}

/**
 * Reads a report.json, or the one in a folder that `mlpack optimize` wrote.
 * @param what how messages name it: `the baseline "main.json"`
 * @throws UserError when it is not there, too large, or no report
 */
export async function readReport(named: string, cwd: string, what = `"${named}"`): Promise<ReadReport> {
  let path = resolve(cwd, named);
  let found = await stat(path).catch(missing(named, what));
  if (found.isDirectory()) {
    path = join(path, 'report.json');
    found = await stat(path).catch(missing(named, what));
  }
  if (found.size > mostBytes)
    throw new UserError(
      'report.size',
      `${what} has ${formatBytes(found.size)}, and a report has at most ${formatBytes(mostBytes)}; is it a model?`,
    );
  const text = await readFile(path, 'utf8');
  return { report: parseReport(text, what), text };
}

const missing =
  (named: string, what: string) =>
  (error: NodeJS.ErrnoException): never => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
    const hint = what.startsWith('the baseline')
      ? `store one with \`mlpack gate <report.json> --baseline ${named} --update-baseline\``
      : 'give the report.json that `mlpack optimize` wrote, or its folder';
    throw new UserError('report.missing', `there is no report at ${what}; ${hint}.`, { cause: error });
  };
