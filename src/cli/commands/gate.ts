import { type Command, Option } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';
import type { GateFlags } from '../gate.ts';

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('gate')
      .summary('pass or fail for CI: what a report must keep')
      .argument('<report.json>', 'a report that `mlpack optimize` wrote, or its folder')
      .option('--baseline <report.json>', 'a stored report about the same model, for rules with of: "baseline"')
      .option('--other-model', 'compare with the baseline though it is about another model')
      .option('-c, --config <file>', 'mlpack.config.{json,mjs,ts}: its `gate` has the rules')
      .option('--variant <name>', 'judge this variant (default: the recommended one of each target)')
      .addOption(
        new Option('--format <format>', 'form of the findings')
          .choices(['terminal', 'json', 'junit', 'github', 'md', 'sarif'])
          .default('terminal'),
      )
      .option('--write <format=file>', 'write a form to a file too, such as junit=gate.xml; repeatable', collect)
      .option('--summary <file>', 'append Markdown to a file: "$GITHUB_STEP_SUMMARY"')
      .option('--strict', 'a rule that cannot be judged fails')
      .option('--update-baseline', 'store the report as the baseline when it passes'),
  ).action(async (file: string, flags: GateFlags & CommonFlags) => {
    await start(flags, async (session) => {
      const { gateCommand } = await import('../gate.ts');
      return gateCommand(file, flags, session);
    });
  });
}
