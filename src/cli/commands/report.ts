import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly format: string;
  readonly out?: string;
  readonly force?: boolean;
}

export function register(program: Command, start: Start): void {
  const report = addCommonFlags(
    program
      .command('report')
      .summary('render a report.json for people or machines')
      .usage('[options] <report.json>\n       mlpack report diff [options] <before.json> <after.json>')
      .argument('<report.json>', 'a report that `mlpack optimize` wrote, or its folder')
      .addOption(
        new Option('--format <format>', 'form')
          .choices(['html', 'md', 'json', 'junit', 'github', 'sarif'])
          .default('md'),
      )
      .option('-o, --out <file>', 'file to write (default: standard output)')
      .option('--force', 'replace an existing file'),
  ).action(async (file: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { reportCommand } = await import('../report.ts');
      return reportCommand(file, flags, session);
    });
  });
  // See main.ts.
  report.enablePositionalOptions();
  addCommonFlags(
    report
      .command('diff')
      .summary('two runs side by side: better, worse, within noise, another machine')
      .argument('<before.json>', 'the earlier report, or its folder')
      .argument('<after.json>', 'the later report, or its folder')
      .addOption(
        new Option('--format <format>', 'form').choices(['terminal', 'html', 'md', 'json']).default('terminal'),
      )
      .option('-o, --out <file>', 'file to write (default: standard output)')
      .option('--force', 'replace an existing file'),
  ).action(async (before: string, after: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { diffCommand } = await import('../report.ts');
      return diffCommand([before, after], flags, session);
    });
  });
}
