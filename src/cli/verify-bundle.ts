import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { type Finding, inspectBundle, readManifest } from '../target/inspect.ts';
import { manifestName } from '../target/manifest.ts';
import { readCertificates } from '../target/sign/chain.ts';
import { readPublicKey } from '../target/sign/key.ts';
import { verifyModel } from '../target/sign/verify.ts';
import type { Session } from './command.ts';
import { readKeyFile, signaturePlace } from './sign.ts';

interface VerifyFlags {
  readonly key?: string;
  readonly certificate?: string;
  readonly signature?: string;
  readonly ignoreUnsigned?: boolean;
}

/**
 * The work of `mlpack verify`: hashes and signature, nothing of the bundle is run.
 * @returns 1 when a file was changed, or the signature is not by whom it should be
 */
export async function verifyCommand(place: string, flags: VerifyFlags, session: Session): Promise<number> {
  const { talk, io } = session;
  const path = resolve(io.cwd, place);
  if (!existsSync(path)) throw new UserError('verify-place', `there is nothing at "${place}".`);
  if (flags.key !== undefined && flags.certificate !== undefined)
    throw new UserError('verify-trust', 'give --key or --certificate, not both.');
  const signature = signaturePlace(path, flags.signature, io.cwd);
  const signed = existsSync(signature);
  const isBundle = existsSync(join(path, manifestName));
  const trusts = flags.key !== undefined || flags.certificate !== undefined;
  if (!isBundle && !signed)
    throw new UserError(
      'verify-nothing',
      `"${place}" is neither a bundle (it has no ${manifestName}) nor signed (there is no ${relative(io.cwd, signature)}).`,
    );
  const findings: Finding[] = [];
  if (isBundle) findings.push(...(await bundleFindings(path, session)));
  if (trusts && !signed)
    findings.push({ code: 'unsigned', message: `It is not signed: there is no ${relative(io.cwd, signature)}.` });
  if (trusts && signed) {
    talk.progress('verify the signature');
    const known = new Set(findings.map(({ file }) => file));
    const found = await signatureFindings(path, signature, flags, session);
    findings.push(...found.filter(({ file }) => file === undefined || !known.has(file)));
  }
  const checked = trusts && signed;
  if (session.json) talk.json({ ok: findings.length === 0, signed, signatureChecked: checked, findings });
  else {
    for (const { message } of findings) talk.out(`${talk.style.red('✘')} ${message}`);
    if (findings.length > 0) talk.out(`${talk.style.red('refused')}  ${place}`);
    else talk.out(`${talk.style.green('ok')}  ${place}: ${sayOk(signed, checked)}`);
  }
  return findings.length === 0 ? 0 : 1;
}

function sayOk(signed: boolean, checked: boolean): string {
  if (checked) return 'every file is the one that was signed';
  return signed
    ? 'every file is what the manifest says; the signature was not checked (give --key or --certificate)'
    : 'every file is what the manifest says; it is not signed';
}

async function bundleFindings(path: string, { io, talk }: Session): Promise<Finding[]> {
  try {
    const manifest = await readManifest(path);
    talk.progress('verify', `${manifest.files.length} files`);
    return await inspectBundle(path, manifest, io.signal);
  } catch (error) {
    if (!(error instanceof UserError) || error.code === 'bundle-open') throw error;
    return [{ code: error.code, message: error.message, file: manifestName }];
  }
}

async function signatureFindings(
  path: string,
  signature: string,
  flags: VerifyFlags,
  { io }: Session,
): Promise<Finding[]> {
  const text = await readFile(signature, 'utf8');
  const trust =
    flags.key !== undefined
      ? { key: readPublicKey(await readKeyFile(flags.key, io.cwd), flags.key) }
      : { roots: readCertificates(await readKeyFile(flags.certificate ?? '', io.cwd), flags.certificate ?? '') };
  try {
    return await verifyModel(path, text, { ...trust, signature, ignoreUnsigned: flags.ignoreUnsigned === true });
  } catch (error) {
    // A signature that cannot be read is not a signature by the one who is trusted.
    if (!(error instanceof UserError) || error.code !== 'signature-file') throw error;
    return [{ code: error.code, message: error.message, file: relative(path, signature) }];
  }
}
