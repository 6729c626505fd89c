import type { Command } from 'commander';
import type { CliIo } from './io.ts';
import type { PassList } from './pass-list.ts';
import type { Talk } from './talk.ts';

/** What every command's work gets. */
export interface Session {
  readonly io: CliIo;
  readonly talk: Talk;
  readonly json: boolean;
  readonly quiet: boolean;
  /** What is to be closed when the command ends, however it ends. */
  readonly atEnd: (() => Promise<void>)[];
}

export interface CommonFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The work of a command. @returns the exit code; undefined is 0. */
export type Work = (session: Session) => Promise<number | undefined | void>;

/** How a command hands its work to main: which opens the session, catches, and sets the exit code. */
export type Start = (flags: CommonFlags, work: Work) => Promise<void>;

/** One file a command; `register` only declares, what is heavy is imported inside the work. */
export interface CommandModule {
  register(program: Command, start: Start, list: PassList): void;
}

export function addCommonFlags(command: Command): Command {
  return command
    .option('--json', 'print exactly one JSON document on stdout')
    .option('-q, --quiet', 'no talk and no progress on stderr');
}

/** Collects a repeatable flag, each use of which may carry several comma-separated names. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  const items = value.split(',').map((item) => item.trim());
  return [...(previous ?? []), ...items.filter((item) => item !== '')];
}
