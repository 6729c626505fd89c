import { relative, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { formatBytes, suggestion } from '../messages.ts';
import { channelsIn, history, requireChannel } from '../target/channel/folder.ts';
import { type ChannelSettings, newest, publish, rollBack, setRollout } from '../target/channel/publish.ts';
import type { ChannelStatement } from '../target/channel/statement.ts';
import { readPrivateKey, readPublicKey } from '../target/sign/key.ts';
import { updateRepository } from '../target/tuf/repository.ts';
import type { Session } from './command.ts';
import { readKeyFile } from './sign.ts';

interface ChannelFlags {
  readonly to?: string;
  readonly channel: string;
  readonly key?: string;
  readonly keys?: string;
  readonly percent?: string;
  readonly days?: string;
  readonly release?: string;
  readonly rotate?: string;
}

type Action = (bundle: string | undefined, flags: ChannelFlags, session: Session) => Promise<void>;

/** @throws UserError `channel-number` */
function number(text: string, name: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new UserError('channel-number', `${name} takes a number from ${least} to ${most}, not "${text}".`);
}

function folderOf({ to }: ChannelFlags, { io }: Session): string {
  return resolve(io.cwd, to ?? '');
}

async function settingsOf(flags: ChannelFlags, session: Session): Promise<ChannelSettings> {
  const { io } = session;
  if (flags.key === undefined)
    throw new UserError('channel-key', 'a statement is signed: give the private key of the channel with --key.');
  const key = readPrivateKey(await readKeyFile(flags.key, io.cwd), flags.key, io.env.MLPACK_KEY_PASSPHRASE);
  const days = number(flags.days ?? '30', '--days', 0.01, 3650);
  return { folder: folderOf(flags, session), channel: flags.channel, key, days, at: Date.now() };
}

function describe({ subject: [{ name }], predicate }: ChannelStatement): string {
  const { channel, sequence, version, rollout, expires, replaces } = predicate;
  const back = replaces.length > 0 ? `, in place of ${replaces.join(', ')}` : '';
  return `${channel} #${sequence}  ${name} ${version} for ${rollout.percent} % of the devices until ${expires.slice(0, 10)}${back}`;
}

function tell(statement: ChannelStatement, session: Session, more: Record<string, unknown> = {}): void {
  const { channel, sequence, version, rollout, expires } = statement.predicate;
  if (session.json)
    session.talk.json({ ok: true, channel, sequence, version, percent: rollout.percent, expires, ...more });
  else session.talk.out(describe(statement));
}

const actions: Readonly<Record<string, Action>> = {
  async publish(bundle, flags, session) {
    if (bundle === undefined)
      throw new UserError('channel-bundle', 'which bundle? mlpack channel publish <bundle-dir> --to <folder>.');
    const percent = number(flags.percent ?? '100', '--percent', 0, 100);
    const settings = await settingsOf(flags, session);
    session.talk.progress('publish');
    const { statement, newBytes } = await publish(resolve(session.io.cwd, bundle), percent, settings);
    tell(statement, session, { newBytes });
    session.talk.note(`${formatBytes(newBytes)} new in ${relative(session.io.cwd, settings.folder) || '.'}`);
  },
  async set(_, flags, session) {
    const percent = flags.percent === undefined ? undefined : number(flags.percent, '--percent', 0, 100);
    tell(await setRollout(percent, await settingsOf(flags, session)), session);
  },
  async rollback(_, flags, session) {
    tell(await rollBack(flags.release, await settingsOf(flags, session)), session);
  },
  async show(_, flags, session) {
    const past = await history(folderOf(flags, session), requireChannel(flags.channel));
    newest(past, flags.channel);
    if (session.json)
      session.talk.json({ ok: true, statements: past.map(({ predicate: { files: _files, ...rest } }) => rest) });
    else for (const statement of past) session.talk.out(describe(statement));
  },
  async tuf(_, flags, session) {
    if (flags.keys === undefined)
      throw new UserError(
        'channel-key',
        'the roles of TUF sign with keys of their own: name their folder with --keys.',
      );
    const folder = folderOf(flags, session);
    const channels = await channelsIn(folder);
    const [first] = channels;
    if (first === undefined)
      throw new UserError('channel-empty', `"${flags.to}" has no channel; publish a bundle first.`);
    const result = await updateRepository(folder, resolve(session.io.cwd, flags.keys), {
      channels,
      at: Date.now(),
      days: number(flags.days ?? '7', '--days', 0.01, 3650),
      channelKey:
        flags.key === undefined ? undefined : readPublicKey(await readKeyFile(flags.key, session.io.cwd), flags.key),
      rotate: (flags.rotate ?? '').split(',').filter((role) => role !== ''),
    });
    if (session.json) session.talk.json({ ok: true, ...result });
    else {
      const { root, targets, snapshot, timestamp } = result;
      session.talk.out(
        `tuf  root ${root}, targets ${targets}, snapshot ${snapshot}, timestamp ${timestamp}: ${channels.join(', ')}`,
      );
    }
  },
};

/** The work of `mlpack channel`. */
export async function channelCommand(
  action: string,
  bundle: string | undefined,
  flags: ChannelFlags,
  session: Session,
): Promise<void> {
  const work = Object.hasOwn(actions, action) ? actions[action] : undefined;
  if (!work)
    throw new UserError(
      'channel-action',
      `channel cannot "${action}"${suggestion(action, Object.keys(actions))}; it can ${Object.keys(actions).join(', ')}.`,
    );
  await work(bundle, flags, session);
}
