import { createHash } from 'node:crypto';
import { createReadStream, type Dirent, existsSync } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../errors.ts';
import { installedFolder, type Manifest, type ManifestFile, manifestName, parseManifest } from './manifest.ts';
import { checkPaths } from './path.ts';
import { signatureName } from './sign/sign.ts';
import { parseSums, sumsName } from './sums.ts';

export interface Finding {
  readonly code: string;
  readonly message: string;
  /** Bundle path of the file it is about. */
  readonly file?: string;
}

/** What stands beside the files of the manifest: itself, and what is made of it. */
const besides: ReadonlySet<string> = new Set([manifestName, sumsName, signatureName]);
const maxManifestBytes = 64_000_000;
const mostNamed = 6;

/**
 * Reads and validates the manifest of a bundle folder.
 * @throws UserError `bundle-open` where there is none, `bundle-manifest` or `bundle-path` where it is wrong.
 */
export async function readManifest(dir: string): Promise<Manifest> {
  const place = join(dir, manifestName);
  let text: string;
  try {
    const info = await lstat(place);
    if (!info.isFile()) throw new UserError('bundle-manifest', `${manifestName} in ${dir} is not a plain file.`);
    if (info.size > maxManifestBytes) {
      throw new UserError(
        'bundle-manifest',
        `${manifestName} in ${dir} has ${info.size} bytes; ${maxManifestBytes} is the limit.`,
      );
    }
    text = await readFile(place, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    const why =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? `there is no ${manifestName} in it`
        : `${manifestName} cannot be read (${code})`;
    const inside = await bundlesIn(dir);
    const hint =
      inside.length > 0
        ? `bundles are in it: ${inside.join(', ')}`
        : 'give a folder that `mlpack bundle` or `mlpack optimize` wrote for a target';
    throw new UserError('bundle-open', `${dir} is not a bundle: ${why}; ${hint}.`, { cause: error });
  }
  const manifest = parseManifest(text);
  checkPaths([manifestName, ...manifest.files.map(({ path }) => path)]);
  return manifest;
}

/** Where a folder above was named: that of a run of `optimize`, or the one of its bundles. At most a handful. */
async function bundlesIn(dir: string): Promise<string[]> {
  const found: string[] = [];
  for (const above of [join(dir, 'bundles'), dir]) {
    const names = await readdir(above).catch(() => []);
    for (const name of names.toSorted((a, b) => (a < b ? -1 : 1)))
      if (existsSync(join(above, name, manifestName))) found.push(join(above, name));
  }
  return found.slice(0, mostNamed);
}

/** Compares a bundle folder with its manifest: every listed file there, whole and unchanged, and nothing else. Runs nothing. */
export async function inspectBundle(dir: string, manifest: Manifest, signal?: AbortSignal): Promise<Finding[]> {
  const findings = referenceFindings(manifest);
  const listed = new Set(manifest.files.map(({ path }) => path));
  for await (const [path, entry] of walk(dir, '')) {
    if (entry.isSymbolicLink()) {
      findings.push({
        code: 'symlink',
        message: `${path} is a symbolic link; a bundle holds real files only.`,
        file: path,
      });
      listed.delete(path);
    } else if (!listed.has(path) && !besides.has(path)) {
      findings.push({ code: 'extra-file', message: `${path} is not in ${manifestName}.`, file: path });
    }
  }
  for (const row of manifest.files) {
    signal?.throwIfAborted();
    const finding = listed.has(row.path) ? await fileFinding(dir, row) : undefined;
    if (finding) findings.push(finding);
  }
  findings.push(...(await sumsFindings(dir, manifest)));
  return findings;
}

/** SHA256SUMS must say what the manifest says, and what the manifest itself is: it is what people without mlpack check by. */
async function sumsFindings(dir: string, manifest: Manifest): Promise<Finding[]> {
  const finding = (message: string, file: string): Finding => ({ code: 'sums', message, file });
  let sums: Map<string, string>;
  try {
    sums = parseSums(await readFile(join(dir, sumsName), 'utf8'));
  } catch (error) {
    if (error instanceof UserError) return [finding(error.message, sumsName)];
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return [{ code: 'missing-file', message: `${sumsName} is missing.`, file: sumsName }];
  }
  const own = createHash('sha256')
    .update(await readFile(join(dir, manifestName)))
    .digest('hex');
  const expected = new Map([[manifestName, own], ...manifest.files.map(({ path, sha256 }) => [path, sha256] as const)]);
  const wrong = [...expected].filter(([path, sha256]) => sums.get(path) !== sha256).map(([path]) => path);
  const unknown = [...sums.keys()].filter((path) => !expected.has(path));
  const changed = wrong.includes(manifestName)
    ? [
        finding(
          `${manifestName} was changed: its SHA-256 is not the one in ${sumsName} (or ${sumsName} was).`,
          manifestName,
        ),
      ]
    : [];
  const others = [...wrong.filter((path) => path !== manifestName), ...unknown];
  return [
    ...changed,
    ...others.map((path) => finding(`${sumsName} and ${manifestName} say different things of ${path}.`, sumsName)),
  ];
}

/** Files that the manifest speaks of elsewhere must be among its files. */
function referenceFindings(manifest: Manifest): Finding[] {
  const listed = new Map(manifest.files.map((row) => [row.path, row]));
  const named = [
    ...(manifest.programs ?? []).map(({ path }) => path),
    ...[manifest.model, ...(manifest.variants ?? [])].flatMap(({ files }) =>
      files.flatMap(({ path, pieces }) => pieces ?? [path]),
    ),
    ...manifest.golden.flatMap(({ inputs, outputs }) => [...inputs, ...outputs].map(({ file }) => file)),
  ];
  const findings: Finding[] = [...new Set(named)]
    .filter((path) => !listed.has(path))
    .map((path) => ({
      code: 'unlisted-file',
      message: `${manifestName} uses "${path}" without listing it.`,
      file: path,
    }));
  const digests = new Set<string>();
  for (const { files, sha256 } of [manifest.model, ...(manifest.variants ?? [])]) {
    const [first] = files;
    const main = listed.get(first?.path ?? '');
    // What is cut into pieces has no row of its own.
    if (!main || first?.pieces || main.sha256 === sha256 || digests.has(main.path)) continue;
    digests.add(main.path);
    findings.push({
      code: 'model-digest',
      message: `${manifestName} gives two digests for ${main.path}.`,
      file: main.path,
    });
  }
  return findings;
}

async function* walk(dir: string, under: string): AsyncIterable<[path: string, entry: Dirent]> {
  const entries = await readdir(join(dir, under), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = under === '' ? entry.name : `${under}/${entry.name}`;
    if (path === installedFolder && entry.isDirectory()) continue;
    if (entry.isDirectory()) yield* walk(dir, path);
    else yield [path, entry];
  }
}

async function fileFinding(dir: string, { path, bytes, sha256 }: ManifestFile): Promise<Finding | undefined> {
  const place = join(dir, path);
  let size: number;
  try {
    const info = await lstat(place);
    if (!info.isFile()) return { code: 'not-a-file', message: `${path} is not a plain file.`, file: path };
    size = info.size;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    return { code: 'missing-file', message: `${path} is missing.`, file: path };
  }
  if (size !== bytes) {
    return { code: 'size-mismatch', message: `${path} has ${size} bytes; ${manifestName} says ${bytes}.`, file: path };
  }
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(place, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  if (hash.digest('hex') === sha256) return undefined;
  return {
    code: 'hash-mismatch',
    message: `${path} was changed: its SHA-256 is not the one in ${manifestName}.`,
    file: path,
  };
}
