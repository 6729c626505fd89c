import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { inspectBundle, readManifest } from '../target/inspect.ts';
import { manifestName } from '../target/manifest.ts';
import { keyHint, readPrivateKey } from '../target/sign/key.ts';
import { signatureName, signModel } from '../target/sign/sign.ts';
import type { Session } from './command.ts';
import { writeAtomically } from './write.ts';

interface SignFlags {
  readonly key: string;
  readonly signature?: string;
  readonly ignore?: readonly string[];
  readonly force?: boolean;
}

/** The work of `mlpack sign`: a bundle that is not what its manifest says is not signed. */
export async function signCommand(place: string, flags: SignFlags, session: Session): Promise<void> {
  const { talk, io } = session;
  const path = resolve(io.cwd, place);
  if (!existsSync(path)) throw new UserError('sign-place', `there is nothing at "${place}" to sign.`);
  const signature = signaturePlace(path, flags.signature, io.cwd);
  const key = readPrivateKey(await readKeyFile(flags.key, io.cwd), flags.key, io.env.MLPACK_KEY_PASSPHRASE);
  if (existsSync(join(path, manifestName))) {
    talk.progress('check the files');
    const [first] = await inspectBundle(path, await readManifest(path), io.signal);
    if (first)
      throw new UserError(
        'sign-bundle',
        `"${place}" is not signed, since it is not what its manifest says: ${first.message}`,
      );
  }
  talk.progress('sign');
  const { file, files, root } = await signModel(path, key, { signature, ignore: flags.ignore ?? [] });
  await writeAtomically(signature, `${JSON.stringify(file)}\n`, flags.force === true, '--signature');
  const hint = file.verificationMaterial.publicKey?.hint ?? keyHint(key);
  const shown = relative(io.cwd, signature);
  if (session.json) talk.json({ ok: true, signature: shown, files, root, key: hint });
  else talk.out(`${shown}  ${files} files, root ${root.slice(0, 16)}…, key ${hint.slice(0, 16)}…`);
}

/** `model.sig` in the folder; beside a single file, its name with `.sig`. */
export function signaturePlace(path: string, given: string | undefined, cwd: string): string {
  if (given !== undefined) return resolve(cwd, given);
  return statSync(path).isDirectory() ? join(path, signatureName) : `${path}.sig`;
}

/** @throws UserError `key-file` where it cannot be read. */
export async function readKeyFile(name: string, cwd: string): Promise<string> {
  try {
    return await readFile(resolve(cwd, name), 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new UserError('key-file', `"${name}" cannot be read (${code}); give a file in PEM form.`, { cause });
  }
}
