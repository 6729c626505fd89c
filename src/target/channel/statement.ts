import type { KeyObject } from 'node:crypto';
import { UserError } from '../../errors.ts';
import type { Manifest } from '../manifest.ts';
import { sealStatement } from '../sign/envelope.ts';
import type { SignatureFile } from '../sign/signature-file.ts';

export const channelPredicate = 'urn:mlpack:channel:1';

export interface ChannelFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** What a channel offers, from `sequence` on. Devices take nothing with a lower sequence than they have seen, and nothing after `expires`. */
export interface ChannelStatement {
  readonly _type: 'https://in-toto.io/Statement/v1';
  /** The model, and the digest of the manifest of the bundle. */
  readonly subject: readonly [{ readonly name: string; readonly digest: { readonly sha256: string } }];
  readonly predicateType: typeof channelPredicate;
  readonly predicate: {
    readonly channel: string;
    readonly sequence: number;
    /** ISO 8601, UTC. */
    readonly issued: string;
    readonly expires: string;
    readonly version: string;
    /** Share of the devices that take it, 0 to 100; a device's place comes from its id and the manifest's digest. */
    readonly rollout: { readonly percent: number };
    /** Least versions of what a device must have: node, onnxruntime-node. */
    readonly requires: Readonly<Record<string, string>>;
    /** Higher versions that this one takes the place of: a way back. */
    readonly replaces: readonly string[];
    readonly files: readonly ChannelFile[];
  };
}

export type Offer = Pick<ChannelStatement['predicate'], 'version' | 'rollout' | 'requires' | 'replaces' | 'files'> & {
  readonly model: string;
  readonly manifest: string;
};

/** @param at milliseconds since 1970 */
export function makeStatement(
  offer: Offer,
  place: { readonly channel: string; readonly sequence: number; readonly at: number; readonly days: number },
): ChannelStatement {
  const { model, manifest, version, rollout, requires, replaces, files } = offer;
  const { channel, sequence, at, days } = place;
  const expires = new Date(at + days * 86_400_000).toISOString();
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: model, digest: { sha256: manifest } }],
    predicateType: channelPredicate,
    predicate: {
      channel,
      sequence,
      issued: new Date(at).toISOString(),
      expires,
      version,
      rollout,
      requires,
      replaces,
      files,
    },
  };
}

/** The same offer, to be made again under a new sequence. */
export function offerOf({ subject: [{ name, digest }], predicate }: ChannelStatement): Offer {
  const { version, rollout, requires, replaces, files } = predicate;
  return { model: name, manifest: digest.sha256, version, rollout, requires, replaces, files };
}

/** What a bundle asks of a device: the runtime that it was tried with, and the Node.js that its program is written for. */
export function requirementsOf({ runtime }: Manifest): Record<string, string> {
  return { node: '20.11.0', [runtime.package]: runtime.version };
}

export function printStatement(statement: ChannelStatement, key: KeyObject): string {
  return `${JSON.stringify(sealStatement(statement, key))}\n`;
}

/** The statement in a signed file; who signed it is another question. @throws UserError `channel-file`. */
export function parseStatement(text: string, shown: string): ChannelStatement {
  try {
    const { dsseEnvelope } = JSON.parse(text) as SignatureFile;
    const statement = JSON.parse(Buffer.from(dsseEnvelope.payload, 'base64').toString('utf8')) as ChannelStatement;
    if (statement.predicateType === channelPredicate) return statement;
  } catch (cause) {
    throw new UserError('channel-file', `${shown} is no signed statement of a channel.`, { cause });
  }
  throw new UserError('channel-file', `${shown} is signed, and is about something else than a channel.`);
}
