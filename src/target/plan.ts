import { readFileSync } from 'node:fs';
import { UserError } from '../errors.ts';
import { namedDim } from '../ir/dim.ts';
import { nearest } from '../messages.ts';
import type { OptionSpec, OptionTable, OptionValues } from '../pass/options.ts';
import { checkValue } from '../pass/resolve-options.ts';
import type { IoInfo } from '../report/report.ts';
import { cardName, printCard } from './card.ts';
import { goldenFiles } from './golden.ts';
import {
  bundleSchema,
  type Manifest,
  type ManifestModelFile,
  type ManifestProgram,
  manifestName,
  wholePath,
} from './manifest.ts';
import { packageVersion } from './package-root.ts';
import { checkPaths } from './path.ts';
import { printProvenance, provenanceName } from './provenance.ts';
import { firstRelease } from './release.ts';
import { lockName, printSbom, sbomName } from './sbom.ts';
import { signatureName } from './sign/sign.ts';
import { sumsName } from './sums.ts';
import { supportOf } from './support.ts';
import type { Artifact, BundleFile, GoldenCase, Target } from './target.ts';

/** Everything a bundle will hold, before anything is written. */
export interface BundlePlan {
  /** Sorted by path; the manifest is not among them, it is written last. */
  readonly files: readonly BundleFile[];
  readonly manifest: Omit<Manifest, 'files'>;
  /** Digests that copied files must turn out to have, by bundle path. */
  readonly expected: ReadonlyMap<string, string>;
}

/** Fills in defaults and checks what was given. Throws UserError for an unknown option or a value out of range. */
export function resolveTargetOptions<T extends OptionTable>(
  target: Target<T>,
  given: Readonly<Record<string, unknown>>,
): OptionValues<T> {
  const table: Readonly<Record<string, OptionSpec>> = target.options;
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(table, name)) {
      const hint = nearest(name, Object.keys(table));
      throw new UserError('option.unknown', `Target ${target.id} has no option "${name}"${hint}.`);
    }
  }
  const entries = Object.entries(table).map(([name, spec]): [string, unknown] => [
    name,
    given[name] === undefined ? spec.default : checkValue(`${target.id}: ${name}`, spec, given[name]),
  ]);
  return Object.fromEntries(entries) as OptionValues<T>;
}

/** Path order that does not depend on a locale. */
function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0;
}

function sortedRecord<V>(record: Readonly<Record<string, V>>): Record<string, V> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Asks the target whether it can take the model, collects its files and the golden cases, and checks every path. Reads no
 * model bytes, unless the target asks its workshop. The same target, artifact and options give the same plan.
 * @throws UserError `target-unsupported` with the target's own sentences, `bundle-path`, `option.*`.
 */
export async function planBundle<T extends OptionTable>(
  target: Target<T>,
  finished: Artifact,
  given: Readonly<Record<string, unknown>>,
): Promise<BundlePlan> {
  const options = resolveTargetOptions(target, given);
  checkArtifact(finished);
  const offered = {
    ...finished,
    inputs: finished.inputs.map(signature),
    outputs: finished.outputs.map(signature),
    golden: finished.golden.filter((one) => !target.wantsGraph || sameShapes(one, finished.golden[0])),
  };
  const support = supportOf(target, offered, options);
  const artifact = target.holds ? { ...offered, others: target.holds(offered) } : offered;
  const runtime = target.runtimeOf?.(options) ?? target.runtime;
  if (!support.ok) {
    throw new UserError(
      'target-unsupported',
      `Target ${target.id} cannot take ${artifact.name} (${artifact.variant}): ${support.because.join(' ')}`,
    );
  }
  const all = [artifact, ...((target.beside && artifact.others) || [])];
  const several = all.length > 1;
  const named = variantNames(all);
  const nameOf = (one: Artifact): string => named.get(one) ?? one.variant;
  const golden = goldenFiles(all.map((one) => ({ cases: one.golden, ...(several && { variant: nameOf(one) }) })));
  const own = [...golden.files];
  for await (const file of target.emit(artifact, options)) own.push(file);
  own.sort(byPath);
  const modelFiles = all.map((one) => placesOf(target.id, one, own));
  const { install, start, kind } = target.commands(artifact, options);
  const main = artifact.files[0];
  const digests = new Map(
    (modelFiles[0] ?? []).map((one, i) => [wholePath(one), artifact.files[i]?.sha256 ?? ''] as const),
  );
  const expected = new Map(
    all.flatMap((one, v) =>
      (modelFiles[v] ?? []).flatMap(({ path, pieces }, i) =>
        pieces ? [] : [[path, one.files[i]?.sha256 ?? ''] as const],
      ),
    ),
  );
  const manifest: Omit<Manifest, 'files'> = {
    schema: bundleSchema,
    tool: { name: 'mlpack', version: packageVersion() },
    target: target.id,
    kind,
    options: sortedRecord<unknown>(options),
    variant: nameOf(artifact),
    release: artifact.release ?? firstRelease,
    model: {
      name: artifact.name,
      sha256: main?.sha256 ?? '',
      license: artifact.license ?? null,
      files: modelFiles[0] ?? [],
    },
    ...(several && {
      variants: all.map((one, v) => ({
        name: nameOf(one),
        sha256: one.files[0]?.sha256 ?? '',
        files: modelFiles[v] ?? [],
        providers: support.byVariant?.[one.variant] ?? support.providers ?? target.providers,
        evidence: one.evidence ?? null,
      })),
    }),
    inputs: artifact.inputs,
    outputs: artifact.outputs,
    labels: artifact.labels ?? null,
    providers: support.providers ?? target.providers,
    runtime: { package: runtime.package, version: runtime.version },
    requires: { irVersion: artifact.irVersion, opsets: sortedRecord(artifact.opsets) },
    commands: { install: install ?? null, start },
    notes: support.because,
    evidence: artifact.evidence ?? null,
    golden: golden.manifest,
    ...programsOf(own),
  };
  const files = [...own, ...papers(manifest, digests, own)].sort(byPath);
  checkPaths([manifestName, sumsName, signatureName, ...files.map((file) => file.path)]);
  return { files, expected, manifest };
}

/** Names of variants; where several files make up the model, `encoder_model/q4` and `decoder_model_merged/q4`. */
function variantNames(all: readonly Artifact[]): Map<Artifact, string> {
  const several = new Set(all.map(({ part }) => part)).size > 1;
  return new Map(all.map((one) => [one, several ? `${one.part ?? 'model'}/${one.variant}` : one.variant]));
}

/** What every bundle says of itself: model card, bill of materials, provenance. */
function papers(
  manifest: Omit<Manifest, 'files'>,
  digests: ReadonlyMap<string, string>,
  files: readonly BundleFile[],
): BundleFile[] {
  const lock = files.find(({ path }) => path === lockName);
  return [
    { path: cardName, bytes: printCard(manifest) },
    { path: sbomName, bytes: printSbom(manifest, digests, lock && textOf(lock)) },
    { path: provenanceName, bytes: printProvenance(manifest, digests) },
  ];
}

function textOf(file: BundleFile): string {
  if ('from' in file) return readFileSync(file.from, 'utf8');
  if ('archive' in file) throw new Error(`${file.path} is an archive, not a text`);
  return typeof file.bytes === 'string' ? file.bytes : Buffer.from(file.bytes).toString('utf8');
}

/** Code made for fixed shapes can replay the cases of these shapes only. */
function sameShapes(a: GoldenCase, b: GoldenCase | undefined): boolean {
  return a.inputs.every(({ shape }, i) => shape.join() === b?.inputs[i]?.shape.join());
}

function programsOf(files: readonly BundleFile[]): { programs?: ManifestProgram[] } {
  const programs = files.flatMap(({ path, program }) => (program ? [{ path, ...program }] : []));
  return programs.length > 0 ? { programs } : {};
}

/** Where the model files of a variant lie in the bundle. */
function placesOf(target: string, artifact: Artifact, files: readonly BundleFile[]): ManifestModelFile[] {
  return artifact.files.map(({ name, source }) => {
    const copies = files.flatMap((file) => ('from' in file && file.from === source ? [file] : []));
    const [first] = copies;
    if (!first) throw new UserError('target-unsupported', `Target ${target} leaves out the model file ${name}.`);
    if (first.start === undefined) return { name, path: first.path };
    const pieces = copies.sort((a, b) => (a.start ?? 0) - (b.start ?? 0)).map(({ path }) => path);
    return { name, path: first.path, pieces };
  });
}

/** A dimension without a name (or with one that says nothing) is unknown: two of them need not be equal. */
function signature({ name, dtype, shape }: IoInfo): IoInfo {
  return { name, dtype, shape: shape && shape.map((dim) => namedDim(dim ?? undefined) ?? null) };
}

function checkArtifact(artifact: Artifact): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(artifact.name)) {
    throw new UserError(
      'bundle-name',
      `"${artifact.name}" cannot name a bundle's model: use letters, digits, ".", "_" and "-", beginning with a letter or digit.`,
    );
  }
  if (artifact.files.length === 0) throw new UserError('bundle-model', `${artifact.name} has no model file to bundle.`);
}
