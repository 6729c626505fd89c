import { resolve } from 'node:path';
import { checkBundle } from '../target/check.ts';
import type { Session } from './command.ts';

interface CheckFlags {
  readonly provider?: readonly string[];
  readonly start: boolean;
}

/** The work of `mlpack check`. @returns 1 when the bundle is not what its manifest says, or answers wrongly. */
export async function checkCommand(dir: string, flags: CheckFlags, session: Session): Promise<number> {
  const { talk, io } = session;
  const result = await checkBundle(resolve(io.cwd, dir), {
    start: flags.start,
    signal: io.signal,
    onProgress: (text: string) => talk.progress('check', text),
    ...(flags.provider && { providers: flags.provider }),
  });
  if (session.json) {
    talk.json(result);
    return result.ok ? 0 : 1;
  }
  for (const { message, file } of result.findings) talk.out(`${talk.style.red('✘')} ${file ? `${file}: ` : ''}${message}`);
  for (const { provider, cases, maxAbs, ok } of result.replays) {
    const mark = ok ? talk.style.green('✔') : talk.style.red('✘');
    talk.out(`${mark} ${provider}: ${cases} golden cases, largest difference ${maxAbs.toPrecision(3)}`);
  }
  talk.out(result.ok ? `${talk.style.green('ok')}  ${dir} is what its manifest says` : `${talk.style.red('failed')}  ${dir}`);
  return result.ok ? 0 : 1;
}
