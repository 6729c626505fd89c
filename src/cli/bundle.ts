import { existsSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { targets } from '../../targets/index.ts';
import { openSession } from '../engine/session.ts';
import { bug, UserError } from '../errors.ts';
import { formatBytes, nearest } from '../messages.ts';
import { hashFile } from '../onnx/hash.ts';
import type { IoInfo } from '../report/report.ts';
import { shellWord } from '../shell-word.ts';
import { buildBundle } from '../target/bundle.ts';
import { evidenceFrom } from '../target/evidence.ts';
import { readManifest } from '../target/inspect.ts';
import { manifestName } from '../target/manifest.ts';
import { resolveTargetOptions } from '../target/plan.ts';
import { nextRelease, type Release } from '../target/release.ts';
import { supportOf } from '../target/support.ts';
import type { Artifact, Target } from '../target/target.ts';
import { makeArtifact, variesSentence } from './artifact.ts';
import { furtherVariants, variantName } from './bundle-variants.ts';
import type { Session } from './command.ts';
import { openData } from './data.ts';
import { browserDownloads, type Download } from './downloads.ts';
import { fitRuntime, oldestRuntime } from './fit-runtime.ts';
import { type ModelSource, resolveModel, resolveParts } from './model-source.ts';
import { refuseLosing, refuseMountPoint, requireWritable } from './output.ts';
import { readReport } from './read-report.ts';

interface BundleFlags {
  readonly target: readonly string[];
  readonly out?: string;
  readonly data?: string;
  readonly force?: boolean;
  readonly option?: readonly string[];
  readonly lang?: string;
  readonly inputShape?: readonly string[];
  readonly name?: string;
  readonly seed: number;
  readonly bundleVersion?: string;
  readonly previous?: string;
  readonly report?: string;
  readonly also?: readonly string[];
  readonly variant?: readonly string[];
  readonly allowModules?: boolean;
}

/** The work of `mlpack bundle`. */
export async function bundleCommand(modelText: string, flags: BundleFlags, session: Session): Promise<void> {
  const { talk, io } = session;
  const chosen = [...new Set(flags.target)].map(findTarget);
  const outs = chosen.map((target) =>
    flags.out === undefined
      ? join(io.cwd, 'bundles', target.id)
      : resolve(io.cwd, flags.out, chosen.length > 1 ? target.id : ''),
  );
  for (const out of outs) await requireFree(out, flags);
  const release = nextRelease(flags.bundleVersion, await previousOf(flags.previous, io.cwd));
  const parts = chosen.every(({ takesParts }) => takesParts)
    ? await resolveParts(modelText, session)
    : [await resolveModel(modelText, session)];
  const [source = bug('no model was found')] = parts;
  refuseForParts(parts, flags);
  const report = flags.report === undefined ? undefined : resolve(io.cwd, flags.report);
  const keep = (needed: readonly (string | undefined)[]): void => outs.forEach((out) => refuseLosing(out, needed));
  keep([
    ...parts.map(({ file }) => file),
    io.cwd,
    flags.data === undefined ? undefined : resolve(io.cwd, flags.data),
    report,
  ]);
  const probe = await openSession(source.file, { label: modelText });
  const { inputs } = probe;
  await probe.dispose();
  const dataset = parts.length > 1 ? undefined : await openData(source, flags.data, session, inputs);
  talk.progress('record golden cases');
  const given = parseOptions([...(flags.option ?? []), ...(flags.lang === undefined ? [] : [`lang=${flags.lang}`])]);
  const oldest = oldestRuntime(
    chosen.map((target) => ({ target, options: resolveTargetOptions(target, given) as never })),
  );
  const pack = async ({ file: origin }: ModelSource, variant: string, file: string): Promise<Artifact> => {
    const made = await makeArtifact({
      name: flags.name ?? source.name,
      variant,
      file: await fitRuntime(file, oldest, session),
      origin,
      dataset,
      seed: flags.seed,
      shapes: flags.inputShape ?? [],
      wantsGraph: chosen.some((target) => target.wantsGraph),
      signal: session.io.signal,
    });
    if (made.varies !== undefined) talk.note(variesSentence(made.varies));
    return { ...made, ...(await evidenceFor(file, flags.report, io.cwd)) };
  };
  const all: Artifact[] = [];
  for (const part of parts) {
    const also = await furtherVariants(part, flags, chosen, session);
    keep(also.map(({ file }) => file));
    const own = [await pack(part, variantName(part.file) ?? 'given', part.file)];
    for (const { variant, file } of also) own.push(await pack(part, variant, file));
    requireSameModel(own);
    all.push(...own);
  }
  const [main = bug('nothing was packed'), ...others] = all;
  const artifact = { ...main, release, ...(others.length > 0 && { others }) };
  const results = [];
  for (const [at, target] of chosen.entries()) {
    talk.progress(`bundle ${target.id}`);
    const out = outs[at] ?? bug('a target without a folder');
    const result = await buildBundle(target, artifact, given, out, {
      force: flags.force === true,
    });
    const downloads = target.id === 'browser' ? { downloads: await browserDownloads(out) } : {};
    results.push({ ...result, because: supportOf(target, artifact, defaultsOf(target)).because, ...downloads });
  }
  if (session.json) {
    talk.json({ ok: true, bundles: results });
    return;
  }
  for (const { target, dir, bytes, files, because, downloads = [] } of results) {
    talk.out(`${target}  ${relative(io.cwd, dir) || '.'}  ${files} files, ${formatBytes(bytes)}`);
    for (const one of downloads) talk.out(`  ${downloadSentence(one)}`);
    for (const sentence of because) talk.out(talk.style.dim(`  ${sentence}`));
    talk.out(talk.style.dim(`  check it: mlpack check ${shellWord(relative(io.cwd, dir) || '.')}`));
  }
}

function downloadSentence({ variant, provider, runtimeBytes, modelBytes, brotliBytes }: Download): string {
  const where = provider === 'wasm' ? 'WebAssembly' : 'WebGPU';
  const whole = formatBytes(runtimeBytes + modelBytes);
  return `${variant} on ${where}: a visitor downloads ${formatBytes(brotliBytes)} with brotli, ${whole} where the host compresses nothing (runtime ${formatBytes(runtimeBytes)}, model ${formatBytes(modelBytes)})`;
}

/** @throws UserError when a further variant is another model: other names of inputs or outputs, or other shapes. */
function requireSameModel([main = bug('no variants'), ...others]: readonly Artifact[]): void {
  const sides = ['inputs', 'outputs'] as const;
  const signature = (one: Artifact, side: (typeof sides)[number]): string => one[side].map(described).join('; ');
  for (const one of others) {
    for (const side of sides) {
      if (!areAlike(one[side], main[side]))
        throw new UserError(
          'also.model',
          `variant ${one.variant} has other ${side} than ${main.variant}: ${signature(one, side)}, not ${signature(main, side)}.`,
        );
    }
    if (one.variant === main.variant)
      throw new UserError('also.name', `two variants are called "${one.variant}"; rename one of the files.`);
  }
}

function described({ name, dtype, shape }: IoInfo): string {
  return `${name} ${dtype} [${shape?.map((dim) => (typeof dim === 'number' ? dim : '?')).join(', ') ?? '…'}]`;
}

/** Names, types and extents of all values. What one model leaves open may be known in the other: `simplify` finds out extents. */
function areAlike(a: readonly IoInfo[], b: readonly IoInfo[]): boolean {
  const isSame = (one: IoInfo, other: IoInfo | undefined): boolean =>
    one.name === other?.name &&
    one.dtype === other.dtype &&
    (!one.shape ||
      !other.shape ||
      (one.shape.length === other.shape.length &&
        one.shape.every((dim, i) => {
          const twin = other.shape?.[i];
          return typeof dim !== 'number' || typeof twin !== 'number' || dim === twin;
        })));
  return a.length === b.length && a.every((one, i) => isSame(one, b[i]));
}

/** @throws UserError for flags that speak of one model file, where several make up the model */
function refuseForParts(parts: readonly ModelSource[], { data, also, report }: BundleFlags): void {
  if (parts.length < 2) return;
  const named = Object.entries({ '--data': data, '--also': also, '--report': report }).find(([, given]) => given);
  if (named)
    throw new UserError(
      'bundle.parts',
      `${named[0]} speaks of one model file, and ${parts.length} make up this model (${parts.map(({ shown }) => shown).join(', ')}); leave it out, or bundle one of the files.`,
    );
}

/** @throws UserError where the folder is no bundle. */
async function previousOf(dir: string | undefined, cwd: string): Promise<Release['previous']> {
  if (dir === undefined) return null;
  const { release } = await readManifest(resolve(cwd, dir));
  return { version: release.version, manifest: await hashFile(join(resolve(cwd, dir), manifestName)) };
}

/** @throws UserError when the report does not know this very file, as it was before a target asked for older operators. */
async function evidenceFor(file: string, named: string | undefined, cwd: string): Promise<Pick<Artifact, 'evidence'>> {
  if (named === undefined) return {};
  const { report } = await readReport(named, cwd);
  const evidence = evidenceFrom(report, await hashFile(file));
  if (evidence) return { evidence };
  throw new UserError(
    'report.variant',
    `no variant of "${named}" has the bytes of this model; bundle a file of its variants/ folder, or leave out --report.`,
  );
}

/** Said before golden cases are recorded, not after. @throws UserError when the place is taken or cannot be written. */
async function requireFree(out: string, flags: BundleFlags): Promise<void> {
  refuseMountPoint(out, flags.out ?? out);
  if (existsSync(out) && flags.force !== true)
    throw new UserError('out.exists', `"${out}" exists; give another --out, or --force to replace it.`);
  await requireWritable(out, flags.out ?? out, { makesFolders: true });
}

/** @throws UserError with the nearest name. */
export function findTarget(id: string): Target {
  const target = targets.find((one) => one.id === id);
  if (target) return target;
  throw new UserError(
    'target.unknown',
    `there is no target "${id}"${nearest(
      id,
      targets.map((one) => one.id),
    )}.`,
  );
}

/** The options of a target as they are when nobody says anything. */
export function defaultsOf(target: Target): Record<string, never> {
  return Object.fromEntries(Object.entries(target.options).map(([name, spec]) => [name, spec.default])) as Record<
    string,
    never
  >;
}

function parseOptions(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at <= 0) throw new UserError('option.pair', `--option takes name=value, not "${pair}".`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
