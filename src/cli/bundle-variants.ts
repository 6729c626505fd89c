import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { UserError } from '../errors.ts';
import { loadModel } from '../onnx/load.ts';
import type { Target } from '../target/target.ts';
import type { Session } from './command.ts';
import { formatsBeside, partName } from './model-parts.ts';
import { type ModelSource, resolveModel } from './model-source.ts';
import { variantBuilder } from './optimize/build.ts';
import { forOutputsOf, planVariants } from './optimize/variants.ts';
import { createContext } from './pass-context.ts';

/** A further file of the model for one bundle. */
export interface NamedFile {
  readonly variant: string;
  readonly file: string;
}

interface Flags {
  readonly also?: readonly string[];
  readonly variant?: readonly string[];
  readonly data?: string;
  readonly allowModules?: boolean;
  readonly seed: number;
}

/** `q4f16` for variants/q4f16/model.onnx, as `optimize` lays them out. */
export function variantName(file: string): string | undefined {
  const folder = dirname(file);
  return basename(dirname(folder)) === 'variants' ? basename(folder) : undefined;
}

/**
 * The further variants of a bundle: files that were named, variants that are built by name, or, when nobody says anything and a target
 * usually has several, those that stand beside the model or are usual.
 * @throws UserError where no target takes them, or two have one name
 */
export async function furtherVariants(
  source: ModelSource,
  flags: Flags,
  chosen: readonly Target[],
  session: Session,
): Promise<NamedFile[]> {
  const isAsked = (flags.also ?? []).length + (flags.variant ?? []).length > 0;
  const single = chosen.find((target) => !target.beside);
  if (isAsked && single)
    throw new UserError('also.target', `a bundle for ${single.id} holds one variant; leave out --also and --variant.`);
  if (single) return [];
  const usual = chosen.flatMap((target) => target.usualVariants ?? []);
  const named = await alsoNamed(flags.also ?? [], session);
  if (isAsked) return distinct([...named, ...(await build(flags.variant ?? [], source, flags, session))]);
  if (usual.length === 0) return [];
  const siblings = (await siblingsOf(source.file)) ?? optimizedBeside(source.file, usual);
  return siblings ?? build(usual, source, flags, session);
}

/** Variants that `optimize` left beside the given one. Nothing is made of a variant: its weights are rounded or cut already. */
function optimizedBeside(file: string, usual: readonly string[]): NamedFile[] | undefined {
  const own = variantName(file);
  if (own === undefined) return undefined;
  const folder = dirname(dirname(file));
  return usual
    .filter((name) => name !== own)
    .map((variant) => ({ variant, file: join(folder, variant, 'model.onnx') }))
    .filter((one) => existsSync(one.file));
}

async function alsoNamed(texts: readonly string[], session: Session): Promise<NamedFile[]> {
  const found: NamedFile[] = [];
  for (const text of texts) {
    const { file } = await resolveModel(text, session);
    const variant = variantName(file) ?? basename(file, '.onnx');
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(variant))
      throw new UserError(
        'also.name',
        `--also "${text}": "${variant}" cannot name a variant; use letters, digits, ".", "_" and "-".`,
      );
    found.push({ variant, file });
  }
  return found;
}

function distinct(files: readonly NamedFile[]): NamedFile[] {
  const names = new Set(['given']);
  for (const { variant } of files) {
    if (names.has(variant.toLowerCase()))
      throw new UserError('also.name', `two variants would be called "${variant}"; rename one of the files.`);
    names.add(variant.toLowerCase());
  }
  return [...files];
}

/** onnx/model_q4.onnx beside onnx/model.onnx, onnx/encoder_model_q4.onnx beside onnx/encoder_model.onnx. */
async function siblingsOf(file: string): Promise<NamedFile[] | undefined> {
  if (partName(file) !== undefined) {
    const formats = formatsBeside(file).map((one) => ({ variant: `model${one.suffix}`, file: one.file }));
    return formats.length > 0 ? formats : undefined;
  }
  const folder = dirname(file);
  if (basename(folder) !== 'onnx' || basename(file) !== 'model.onnx') return undefined;
  const names = (await readdir(folder)).filter((name) => /^model_[a-z0-9]+\.onnx$/.test(name)).sort();
  if (names.length === 0) return undefined;
  return names.map((name) => ({ variant: basename(name, '.onnx'), file: join(folder, name) }));
}

/** Builds variants in a scratch folder; what cannot be built is said and left out. */
async function build(
  names: readonly string[],
  source: ModelSource,
  flags: Flags,
  session: Session,
): Promise<NamedFile[]> {
  const { talk, io } = session;
  if (names.length === 0) return [];
  const folder = await mkdtemp(join(tmpdir(), 'mlpack-bundle-'));
  io.scratch.add(folder);
  session.atEnd.push(async () => {
    await rm(folder, { recursive: true, force: true });
    io.scratch.delete(folder);
  });
  const { seed, data, allowModules } = flags;
  const model = await loadModel(source.file);
  const plans = forOutputsOf(model, planVariants(names, new Map()));
  const built = await variantBuilder(model, {
    folder,
    context: await createContext(source, { seed, data, allowModules }, session),
    onStep: (variant, step) => talk.progress(`build ${variant}`, step.pass.id),
    warn: (text) => talk.warn(text),
  })(plans);
  const found: NamedFile[] = [];
  for (const { name, path, blockers } of built.slice(1)) {
    if (path !== undefined && existsSync(path)) found.push({ variant: name, file: path });
    else talk.warn(`no variant ${name}: ${blockers[0] ?? 'it could not be built'}`);
  }
  return found;
}
