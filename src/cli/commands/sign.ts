import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, collect, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly key: string;
  readonly signature?: string;
  readonly ignore?: string[];
  readonly force?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('sign')
      .summary('sign a bundle, or any model folder or file (OpenSSF Model Signing)')
      .argument('<bundle-dir>', 'bundle, model folder or file')
      .requiredOption(
        '-k, --key <file>',
        'private key in PEM form: P-256, P-384 or P-521 (passphrase: MLPACK_KEY_PASSPHRASE)',
      )
      .option('--signature <file>', 'where the signature goes (default: model.sig in the folder)')
      .option('--ignore <paths>', 'paths in the folder that the signature leaves out', collect)
      .option('--force', 'replace an existing signature'),
  ).action(async (place: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { signCommand } = await import('../sign.ts');
      return signCommand(place, flags, session);
    });
  });
}
