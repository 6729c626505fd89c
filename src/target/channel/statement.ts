import type { KeyObject } from 'node:crypto';
import { UserError } from '../../errors.ts';
import type { Manifest } from '../manifest.ts';
import { type Schema, schemaProblem } from '../schema-check.ts';
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

/** A statement and the file around it, which says who signed it. */
export interface SignedStatement {
  readonly statement: ChannelStatement;
  readonly file: SignatureFile;
}

const text: Schema = { type: 'string', minLength: 1 };
const digest: Schema = { type: 'string', pattern: '^[0-9a-f]{64}$' };
const list = (items: Schema): Schema => ({ type: 'array', items });
const has = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
});

const statementSchema: Schema = has({
  subject: { type: 'array', minItems: 1, items: has({ name: text, digest: has({ sha256: digest }) }) },
  predicate: has({
    channel: text,
    sequence: { type: 'integer', minimum: 1 },
    issued: text,
    expires: text,
    version: text,
    rollout: has({ percent: { type: 'number' } }),
    requires: { type: 'object', additionalProperties: text },
    replaces: list(text),
    files: list(has({ path: text, bytes: { type: 'integer', minimum: 0 }, sha256: digest })),
  }),
});

const envelopeSchema: Schema = has({
  dsseEnvelope: has({ payload: text, payloadType: text, signatures: list(has({ sig: text })) }),
});

/** The statement in a signed file; who signed it is another question. @throws UserError `channel-file`. */
export function parseStatement(source: string, shown: string): SignedStatement {
  const file = parse(envelopeSchema, source, shown) as SignatureFile;
  const payload = Buffer.from(file.dsseEnvelope.payload, 'base64').toString('utf8');
  const what = `the statement in ${shown}`;
  const { predicateType } = parse({ type: 'object' }, payload, what) as Partial<ChannelStatement>;
  if (predicateType !== channelPredicate)
    throw new UserError('channel-file', `${shown} is signed, and is about something else than a channel.`);
  return { file, statement: parse(statementSchema, payload, what) as ChannelStatement };
}

function parse(schema: Schema, source: string, shown: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    throw new UserError('channel-file', `${shown} is no signed statement of a channel.`, { cause });
  }
  const problem = schemaProblem(schema, value, shown);
  if (problem !== undefined) throw new UserError('channel-file', `${problem}: it is no signed statement of a channel.`);
  return value;
}
