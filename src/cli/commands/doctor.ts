import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program.command('doctor').summary('which providers work on this machine, and what is missing for the others'),
  ).action(async (flags: CommonFlags) => {
    await start(flags, async (session) => {
      const { doctorCommand } = await import('../doctor.ts');
      return doctorCommand(session);
    });
  });
}
