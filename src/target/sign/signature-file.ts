import { UserError } from '../../errors.ts';
import { type Schema, schemaProblem } from '../schema-check.ts';

/** A detached signature: a Sigstore bundle around a DSSE envelope (OpenSSF Model Signing 1.0, section 4). */
export interface SignatureFile {
  readonly mediaType: string;
  readonly verificationMaterial: {
    readonly publicKey?: { readonly hint?: string; readonly rawBytes?: string };
    readonly x509CertificateChain?: { readonly certificates: readonly { readonly rawBytes: string }[] };
    readonly certificate?: unknown;
    readonly tlogEntries?: readonly unknown[];
  };
  readonly dsseEnvelope: {
    readonly payload: string;
    readonly payloadType: string;
    readonly signatures: readonly { readonly sig: string; readonly keyid?: string | null }[];
  };
}

/** The signed part: an in-toto statement with the predicate of OpenSSF Model Signing. */
export interface SigningStatement {
  readonly _type: 'https://in-toto.io/Statement/v1';
  readonly subject: readonly [{ readonly name: string; readonly digest: { readonly sha256: string } }];
  readonly predicateType: 'https://model_signing/signature/v1.0';
  readonly predicate: {
    readonly resources: readonly Resource[];
    readonly serialization: {
      readonly method: string;
      readonly hash_type: string;
      readonly shard_size?: number;
      readonly allow_symlinks: boolean;
      readonly ignore_paths?: readonly string[];
    };
  };
}

export interface Resource {
  readonly name: string;
  readonly digest: string;
  readonly algorithm: string;
}

const text: Schema = { type: 'string', minLength: 1 };
const base64: Schema = { type: 'string', minLength: 1, pattern: '^[A-Za-z0-9+/]+={0,2}$' };

function has(properties: Readonly<Record<string, Schema>>, required: readonly string[]): Schema {
  return { type: 'object', properties, required };
}

const signatureSchema: Schema = has(
  {
    mediaType: {
      enum: [
        'application/vnd.dev.sigstore.bundle.v0.3+json',
        'application/vnd.dev.sigstore.bundle+json;version=0.3',
        'application/vnd.dev.sigstore.bundle+json;version=0.2',
      ],
    },
    verificationMaterial: has(
      {
        publicKey: { type: 'object', properties: { hint: text, rawBytes: text } },
        x509CertificateChain: has(
          { certificates: { type: 'array', minItems: 1, items: has({ rawBytes: base64 }, ['rawBytes']) } },
          ['certificates'],
        ),
      },
      [],
    ),
    dsseEnvelope: has(
      {
        payload: base64,
        payloadType: { const: 'application/vnd.in-toto+json' },
        signatures: { type: 'array', minItems: 1, items: has({ sig: base64 }, ['sig']) },
      },
      ['payload', 'payloadType', 'signatures'],
    ),
  },
  ['mediaType', 'verificationMaterial', 'dsseEnvelope'],
);

const statementSchema: Schema = has(
  {
    _type: { const: 'https://in-toto.io/Statement/v1' },
    subject: {
      type: 'array',
      minItems: 1,
      items: has({ name: text, digest: has({ sha256: { type: 'string', pattern: '^[0-9a-f]{64}$' } }, ['sha256']) }, [
        'name',
        'digest',
      ]),
    },
    predicateType: { const: 'https://model_signing/signature/v1.0' },
    predicate: has(
      {
        resources: {
          type: 'array',
          minItems: 1,
          items: has({ name: text, digest: { type: 'string', pattern: '^[0-9a-f]+$' }, algorithm: text }, [
            'name',
            'digest',
            'algorithm',
          ]),
        },
        serialization: has(
          {
            method: { enum: ['files', 'shards'] },
            hash_type: text,
            shard_size: { type: 'integer', minimum: 1 },
            allow_symlinks: { type: 'boolean' },
            ignore_paths: { type: 'array', items: text },
          },
          ['method', 'hash_type', 'allow_symlinks'],
        ),
      },
      ['resources', 'serialization'],
    ),
  },
  ['_type', 'subject', 'predicateType', 'predicate'],
);

/** Reads a signature file and the statement in it; whether the signature is right is another question. @throws UserError `signature-file`. */
export function parseSignature(source: string, shown: string): { file: SignatureFile; statement: SigningStatement } {
  const file = parse(signatureSchema, source, shown) as SignatureFile;
  const payload = Buffer.from(file.dsseEnvelope.payload, 'base64').toString('utf8');
  const statement = parse(statementSchema, payload, `the signed statement in ${shown}`) as SigningStatement;
  return { file, statement };
}

function parse(schema: Schema, source: string, shown: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UserError('signature-file', `${shown} is not JSON: ${why}.`, { cause });
  }
  const problem = schemaProblem(schema, value, shown);
  if (problem !== undefined) throw new UserError('signature-file', `${problem}.`);
  return value;
}
