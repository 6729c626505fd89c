import type { Command } from 'commander';
import { addCommonFlags, type CommonFlags, type Start } from '../command.ts';

interface Flags extends CommonFlags {
  readonly to?: string;
  readonly channel: string;
  readonly key?: string;
  readonly keys?: string;
  readonly percent?: string;
  readonly days?: string;
  readonly release?: string;
  readonly rotate?: string;
}

export function register(program: Command, start: Start): void {
  addCommonFlags(
    program
      .command('channel')
      .summary('signed update channels for edge bundles, in a static folder')
      .argument('<action>', 'publish <bundle-dir>, set, rollback, show, tuf')
      .argument('[bundle-dir]', 'bundle to publish')
      .requiredOption('--to <folder>', 'folder that a web server shows to the devices')
      .option('--channel <name>', 'name of the channel', 'stable')
      .option(
        '-k, --key <file>',
        'private key of the channel: P-256, P-384 or P-521 (passphrase: MLPACK_KEY_PASSPHRASE); tuf: the public one, which the statements are held to',
      )
      .option('--percent <n>', 'share of the devices that take it (default: 100 for publish)')
      .option('--days <n>', 'days until devices refuse the statement (default: 30; tuf: 7)')
      .option('--release <v>', 'rollback: the version to go back to (default: the one before)')
      .option('--keys <dir>', 'tuf: folder of the role keys; made when it is not there')
      .option('--rotate <roles>', 'tuf: roles that get a new key: root, targets, snapshot, timestamp'),
  ).action(async (action: string, bundle: string | undefined, flags: Flags) => {
    await start(flags, async (session) => {
      const { channelCommand } = await import('../channel.ts');
      return channelCommand(action, bundle, flags, session);
    });
  });
}
