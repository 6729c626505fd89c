import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly out?: string;
  readonly force?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('sbom')
      .summary('bill of materials of a bundle (CycloneDX 1.6 with model card)')
      .argument('<bundle-dir>', 'folder that `mlpack bundle` or `mlpack optimize` wrote')
      .option('-o, --out <file>', 'file to write (default: standard output)')
      .option('--force', 'replace an existing file'),
  ).action(async (place: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { sbomCommand } = await import('../sbom.ts');
      return sbomCommand(place, flags, session);
    });
  });
}
