import { resolve } from 'node:path';
import { significant } from '../messages.ts';
import { checkBundle } from '../target/check.ts';
import type { Session } from './command.ts';
import { programRunners } from './program-runners.ts';

interface CheckFlags {
  readonly start: boolean;
  readonly install: boolean;
  readonly chromium?: string;
}

/** The work of `mlpack check`. @returns 1 when the bundle is not what its manifest says, or answers wrongly. */
export async function checkCommand(dir: string, flags: CheckFlags, session: Session): Promise<number> {
  const { talk, io } = session;
  const result = await checkBundle(resolve(io.cwd, dir), {
    replay: flags.start,
    install: flags.install,
    signal: io.signal,
    runners: programRunners,
    onProgress: (text) => talk.progress('check', text),
    ...(flags.chromium !== undefined && { chromium: flags.chromium }),
  });
  if (session.json) {
    talk.json(result);
    return result.ok ? 0 : 1;
  }
  for (const { message, file } of result.findings)
    talk.out(`${talk.style.red('✘')} ${file && !message.includes(file) ? `${file}: ` : ''}${message}`);
  for (const { provider, how, cases, maxAbs, ok } of result.replays) {
    const mark = ok ? talk.style.green('✔') : talk.style.red('✘');
    talk.out(`${mark} ${provider}, ${how}: ${cases} golden cases, largest difference ${significant(maxAbs, 3)}`);
  }
  const [ready] = result.replays.flatMap(({ readyMs }) => readyMs ?? []);
  if (ready !== undefined) talk.out(`  ready ${Math.round(ready)} ms after its start, here and once`);
  for (const note of result.notes) talk.out(talk.style.dim(note));
  talk.out(
    result.ok ? `${talk.style.green('ok')}  ${dir} is what its manifest says` : `${talk.style.red('failed')}  ${dir}`,
  );
  return result.ok ? 0 : 1;
}
