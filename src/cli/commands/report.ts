import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly format: string;
  readonly out?: string;
  readonly force?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('report')
      .summary('render a report.json for people or machines')
      .argument('<report.json>', 'a report that `mlpack optimize` wrote')
      .addOption(new Option('--format <format>', 'form').choices(['html', 'md', 'json']).default('md'))
      .option('-o, --out <file>', 'file to write (default: standard output)')
      .option('--force', 'replace an existing file'),
  ).action(async (file: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { reportCommand } = await import('../report.ts');
      return reportCommand(file, flags, session);
    });
  });
}
