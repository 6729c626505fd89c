import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly key?: string;
  readonly certificate?: string;
  readonly signature?: string;
  readonly ignoreUnsigned?: boolean;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('verify')
      .summary('hashes and signature of a bundle or signed folder; runs nothing of it')
      .argument('<bundle-dir>', 'bundle, or what `mlpack sign` or another signer of OpenSSF Model Signing has signed')
      .option('-k, --key <file>', 'public key that must have signed it, in PEM form')
      .option('--certificate <file>', "certificates that the signer's chain must end at, in PEM form")
      .option('--signature <file>', 'the signature (default: model.sig in the folder)')
      .option('--ignore-unsigned', 'files that the signature does not name are no finding'),
  ).action(async (place: string, flags: Flags) => {
    await start(flags, async (session) => {
      const { verifyCommand } = await import('../verify-bundle.ts');
      return verifyCommand(place, flags, session);
    });
  });
}
