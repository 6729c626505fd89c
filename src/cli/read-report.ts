import { closeSync, openSync, readSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { formatBytes } from '../messages.ts';
import { parseReport } from '../report/parse.ts';
import type { Report } from '../report/report.ts';

/** A report of 100 variants with 100,000 reasons each has about 1 GB of text; Node's strings end at half of that. */
const mostBytes = 500_000_000;

/** How a report of whatever version calls itself. */
const ownName = '"mlpack.report/';
const pieceBytes = 1 << 20;

/** Whether a file calls itself a report of mlpack. It may be anything, of any size: no string is made of the whole. */
export function isReport(file: string): boolean {
  const handle = openSync(file, 'r');
  try {
    const piece = Buffer.alloc(pieceBytes);
    // The end of the piece before stands in front: the name may lie across.
    for (let kept = 0; ; ) {
      const read = readSync(handle, piece, kept, pieceBytes - kept, null);
      const filled = piece.subarray(0, kept + read);
      if (filled.includes(ownName)) return true;
      if (read === 0) return false;
      kept = Math.min(filled.length, ownName.length - 1);
      piece.copyWithin(0, filled.length - kept, filled.length);
    }
  } finally {
    closeSync(handle);
  }
}

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
