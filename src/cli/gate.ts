import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { githubAnnotations } from '../../reports/gate/github.ts';
import { junitXml } from '../../reports/gate/junit.ts';
import { gateMarkdown } from '../../reports/gate/markdown.ts';
import { gateSarif } from '../../reports/gate/sarif.ts';
import { loadConfig } from '../config/load.ts';
import { UserError } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { nearest } from '../messages.ts';
import { checkBaseline, isSameModel } from '../report/gate/baseline.ts';
import { type GateResult, gate } from '../report/gate/gate.ts';
import type { Report } from '../report/report.ts';
import { packageVersion } from '../target/package-root.ts';
import type { Session } from './command.ts';
import { printFindings } from './gate-table.ts';
import { exitCodes } from './io.ts';
import { requireWritable } from './output.ts';
import { isReport, readReport } from './read-report.ts';
import { writeAtomically } from './write.ts';

export interface GateFlags {
  readonly baseline?: string;
  readonly otherModel?: boolean;
  readonly config?: string;
  readonly variant?: string;
  readonly format: GateFormat | 'terminal';
  readonly write?: readonly string[];
  readonly summary?: string;
  readonly strict?: boolean;
  readonly updateBaseline?: boolean;
}

const forms = {
  json: (result: GateResult) => `${JSON.stringify(result, null, 2)}\n`,
  junit: junitXml,
  github: githubAnnotations,
  md: gateMarkdown,
  sarif: (result: GateResult) => gateSarif(result, packageVersion()),
} as const satisfies Record<string, (result: GateResult) => string>;
export type GateFormat = keyof typeof forms;

/**
 * The work of `mlpack gate`. With --update-baseline the stored baseline is not read: what is replaced has no say, so that a
 * changed model can be stored, and a first one.
 * @returns 1 when a rule of level `error` is broken
 */
export async function gateCommand(file: string, flags: GateFlags, session: Session): Promise<number> {
  const { io, talk } = session;
  const written = (flags.write ?? []).map(parseWrite);
  const { report, text } = await readReport(file, io.cwd);
  const { config } = await loadConfig(flags.config, io.cwd);
  const baseline = flags.updateBaseline ? undefined : await readBaseline(flags, report, session);
  const target = flags.updateBaseline ? baselinePath(flags.baseline, session) : undefined;
  await requirePlaces(file, flags, session);
  const result = gate(report, config.gate ?? {}, {
    ...(flags.variant !== undefined && { variant: flags.variant }),
    ...(baseline && { baseline }),
    // Where the baseline is being replaced, rules about it cannot be judged, and that is no reason to fail.
    strict: flags.strict === true && target === undefined,
  });
  for (const one of written) await writeReplacing(resolve(io.cwd, one.file), forms[one.format](result));
  if (flags.summary !== undefined) await appendFile(resolve(io.cwd, flags.summary), forms.md(result));
  const format = session.json ? 'json' : flags.format;
  if (format === 'terminal') printFindings(result, talk, io.stdout);
  else io.stdout.write(forms[format](result));
  if (!result.ok) {
    if (target !== undefined) talk.warn(`the baseline "${flags.baseline}" stays as it is, for the gate failed.`);
    return exitCodes.gate;
  }
  if (target !== undefined) {
    await writeReplacing(target, text);
    talk.note(`stored as the baseline: ${flags.baseline}`);
  }
  return exitCodes.ok;
}

/** Before anything is written: a place that cannot be made must not cost the other forms. */
async function requirePlaces(
  report: string,
  { write = [], summary, baseline, updateBaseline }: GateFlags,
  { io }: Session,
): Promise<void> {
  const places = write.map((one) => ({ flag: '--write', file: parseWrite(one).file, makesFolders: true }));
  if (summary !== undefined) places.push({ flag: '--summary', file: summary, makesFolders: false });
  if (updateBaseline && baseline !== undefined) places.push({ flag: '--baseline', file: baseline, makesFolders: true });
  const read = [report, ...(baseline === undefined || updateBaseline ? [] : [baseline])];
  const kept = new Set(read.flatMap((one) => [resolve(io.cwd, one), resolve(io.cwd, one, 'report.json')]));
  for (const { file, ...options } of places) {
    const path = resolve(io.cwd, file);
    if (options.flag !== '--baseline' && kept.has(path))
      throw new UserError('gate.write', `"${file}" is the report that is judged; give ${options.flag} another file.`);
    if (existsSync(path) && statSync(path).isDirectory())
      throw new UserError('path', `"${file}" is a folder where a file is expected; give ${options.flag} a file.`);
    if (options.flag !== '--baseline' && existsSync(path) && !isText(path))
      throw new UserError(
        'out.exists',
        `"${file}" exists and is no text, so it is left alone; give ${options.flag} another file.`,
      );
    await requireWritable(path, file, options);
  }
}

/** What a gate writes is text, and so is what it may replace or append to: not the model that follows a flag whose file was forgotten. */
function isText(path: string): boolean {
  if (!statSync(path).isFile()) return true;
  const head = Buffer.alloc(4096);
  const handle = openSync(path, 'r');
  try {
    return !/[\0-\x08\x0e-\x1a]/.test(head.toString('latin1', 0, readSync(handle, head, 0, head.length, 0)));
  } finally {
    closeSync(handle);
  }
}

async function writeReplacing(path: string, text: string): Promise<void> {
  await makeFolder(dirname(path));
  await writeAtomically(path, text, true);
}

/** `junit=build/gate.xml`. */
function parseWrite(value: string): { format: GateFormat; file: string } {
  const [, format = '', file = ''] = /^([^=]*)=(.+)$/s.exec(value) ?? [];
  if (file === '')
    throw new UserError('gate.write', `--write takes a format and a file, such as junit=gate.xml, not "${value}".`);
  if (!Object.hasOwn(forms, format))
    throw new UserError('gate.write', `--write has no format "${format}"${nearest(format, Object.keys(forms))}.`);
  return { format: format as GateFormat, file };
}

function baselinePath(named: string | undefined, { io }: Session): string {
  if (named === undefined)
    throw new UserError('baseline.none', 'where is the baseline to be stored? Give --baseline <report.json> too.');
  const path = resolve(io.cwd, named);
  if (existsSync(path) && statSync(path).isFile() && !isReport(path))
    throw new UserError(
      'out.exists',
      `"${named}" exists and is no report of mlpack, so it is left alone; give --baseline another file.`,
    );
  return path;
}

async function readBaseline(flags: GateFlags, report: Report, { io, talk }: Session): Promise<Report | undefined> {
  const { baseline: named } = flags;
  if (named === undefined) return undefined;
  const { report: baseline } = await readReport(named, io.cwd, `the baseline "${named}"`);
  if (!flags.otherModel) checkBaseline(report, baseline, `"${named}"`);
  else if (!isSameModel(report, baseline))
    talk.note(`the baseline "${named}" is about another model, as --other-model allows.`);
  return baseline;
}
