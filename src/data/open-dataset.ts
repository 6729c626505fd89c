import { readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { UserError } from '../errors.ts';
import { openArraySource } from './array-source.ts';
import { openAudioSource } from './audio-source.ts';
import { isCastable } from './cast.ts';
import { namesOfAll, readClasses } from './class-names.ts';
import type { Dataset } from './dataset.ts';
import { parseDatasetSpec } from './dataset-format.ts';
import { FolderDataset, type Parts } from './folder-dataset.ts';
import { openImageSource } from './image-source.ts';
import { inferSpec } from './infer.ts';
import { readLabels } from './labels.ts';
import type { ModelInput } from './model-input.ts';
import { placeInside } from './paths.ts';
import { findImageDefaults } from './processor.ts';
import type { Source, Split } from './source.ts';
import type { DatasetSpec, InputSpec, SplitSpec } from './specs.ts';
import { openTextSource } from './text-source.ts';
import { readTruths } from './truths.ts';

export interface OpenOptions {
  /** Folder of the model: where a tokenizer and an image processor are looked for when the data folder has none. */
  readonly modelDir?: string | undefined;
  /** A metric that is a module of the data folder may be loaded, which runs its code. Default no. */
  readonly allowModules?: boolean | undefined;
  /**
   * Where there are no calibration samples and no "split", these many are held out of the evaluation for calibration: a number, of at most a
   * fifth of the samples.
   */
  readonly holdOut?: number | undefined;
  /** Share of samples that may be unreadable; default what dataset.json says, else 5 %. */
  readonly maxBad?: number | undefined;
}

/** Seed of what `holdOut` chooses: the same samples in every command. */
const holdOutSeed = 0;

/** Says in which folder a description is wrong. */
function inFolder<T>(dir: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof UserError) || !error.message.startsWith('dataset.json')) throw error;
    throw new UserError(error.code, join(dir, error.message), { cause: error });
  }
}

/**
 * Opens a folder of data: by its dataset.json, or inferred from file names when there is none.
 * @param inputs the model's inputs, which inference needs.
 * @throws UserError when the description is wrong, files are missing, or counts and shapes disagree.
 */
export async function openDataset(
  dir: string,
  inputs?: readonly ModelInput[],
  { modelDir, allowModules, holdOut, maxBad }: OpenOptions = {},
): Promise<Dataset> {
  const notes: string[] = [];
  const text = readDescription(dir);
  const processor = await findImageDefaults([dir, modelDir]);
  const spec =
    text === undefined
      ? await inferSpec(dir, inputs, { notes, modelDir, image: processor?.defaults })
      : inFolder(dir, () => parseDatasetSpec(text, basename(resolve(dir)), processor?.defaults));
  if (processor && [...spec.inputs.values()].some(({ kind }) => kind === 'images'))
    notes.push(`Pictures are prepared as ${processor.path} says, where dataset.json does not.`);
  const opened: Source[] = [];
  try {
    const place = (file: string): Promise<string> => placeInside(dir, file);
    const keep = async (source: Promise<Source>): Promise<Source> => {
      opened.push(await source);
      return source;
    };
    const sources = new Map<string, Source>();
    for (const [name, input] of spec.inputs) {
      const source = openSource(name, input, place, {
        modelDir,
        model: inputs?.find((one) => one.name === name),
      });
      if (source) sources.set(name, await keep(source));
      notes.push(...mixedSplits(name, input));
    }
    if (sources.size === 0) throw new UserError('dataset-format', `dataset.json in ${dir} feeds no input from files.`);
    checkComputed(spec, sources);
    const targets =
      spec.targets &&
      (await keep(
        spec.targets.kind === 'images'
          ? openImageSource('targets', spec.targets, place)
          : openArraySource('targets', spec.targets, place),
      ));
    if (targets && !isCastable(targets.dtype))
      throw new UserError(
        'dataset-dtype',
        `dataset.json in ${dir}: targets are numbers, but ${targets.notNumbers ?? `these are of type ${targets.dtype}`}. Classes that are words go under "labels".`,
      );
    const counts = sampleCounts(dir, sources, targets);
    const names = [...sources.values()].find((source) => source.names)?.names?.('eval');
    const known = spec.labels ? await readClasses([dir, modelDir]) : [];
    const labelled =
      spec.labels &&
      (await readLabels(spec.labels, spec.labels.file && (await place(spec.labels.file)), {
        count: counts.eval,
        names,
        known,
        notes,
      }));
    const truths = spec.truths && (await readTruths(spec.truths, await place(spec.truths.file), counts.eval, names));
    const split = spec.split ?? heldOut(spec, counts, holdOut, notes);
    const parts: Parts = {
      spec: { ...spec, split, maxBad: maxBad ?? spec.maxBad },
      allowModules: allowModules === true,
      sources,
      targets,
      labels: labelled?.labels,
      labelNames: labelled ? (labelled.names ?? namesOfAll(labelled.labels, known)) : truths?.names,
      truths: truths?.values,
      counts,
      notes,
    };
    return new FolderDataset(dir, parts);
  } catch (error) {
    for (const source of opened) await source.close();
    throw error;
  }
}

/** With fewer, ranges would be worse than those that are calibrated on samples which are evaluated on, too (a note says so then). */
const fewestHeldOut = 8;

/** A stream follows itself, so it cannot be parted by chance. */
function heldOut(
  { inputs, samples }: DatasetSpec,
  counts: Readonly<Record<Split, number>>,
  wanted: number | undefined,
  notes: string[],
): SplitSpec | undefined {
  if (wanted === undefined || counts.calibration > 0) return undefined;
  if ([...inputs.values()].some(({ kind }) => kind === 'state')) return undefined;
  // Samples beyond those that are evaluated on cost nothing.
  const spare = samples === undefined ? 0 : counts.eval - samples;
  const calibration = Math.min(wanted, Math.max(spare, Math.floor(counts.eval / 5)));
  if (calibration < fewestHeldOut) {
    notes.push(
      `There are no samples for calibration, and ${counts.eval} are too few to hold some out: variants that need it are calibrated on what they are judged on, which flatters them.`,
    );
    return undefined;
  }
  notes.push(
    `No samples are set apart for calibration, so ${calibration} of the ${counts.eval} are held out for it and not evaluated on; "calibration" or "split" in dataset.json says otherwise.`,
  );
  return { calibration, seed: holdOutSeed };
}

function openSource(
  name: string,
  input: InputSpec,
  place: (file: string) => Promise<string>,
  { modelDir, model }: { readonly modelDir: string | undefined; readonly model: ModelInput | undefined },
): Promise<Source> | undefined {
  switch (input.kind) {
    case 'array':
      return openArraySource(name, input, place, model);
    case 'images':
      return openImageSource(name, input, place);
    case 'text':
      return openTextSource(name, input, place, modelDir);
    case 'audio':
      return openAudioSource(name, input, place);
    default:
      return undefined;
  }
}

function readDescription(dir: string): string | undefined {
  try {
    // Editors of Windows put a byte order mark in front.
    return readFileSync(join(dir, 'dataset.json'), 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    const why = code === 'ENOTDIR' ? 'it is no folder' : `dataset.json cannot be opened (${code})`;
    throw new UserError('dataset-open', `Cannot read the data in ${dir}: ${why}.`, { cause: error });
  }
}

function mixedSplits(name: string, spec: InputSpec): string[] {
  const file =
    spec.kind === 'images'
      ? spec.folder
      : spec.kind === 'array'
        ? spec.file
        : spec.kind === 'text'
          ? spec.file
          : spec.kind === 'audio'
            ? spec.source
            : undefined;
  if (file === undefined || !('calibration' in spec) || spec.calibration !== file) return [];
  return [
    `Input "${name}" is calibrated on the samples it is evaluated on (${file}): the accuracy measured will flatter the result. "split" in dataset.json parts one set.`,
  ];
}

/** Only numbers can be compared with the number of `notEqual`, and only texts have products to take. */
function checkComputed(spec: DatasetSpec, sources: ReadonlyMap<string, Source>): void {
  for (const [name, input] of spec.inputs) {
    if (input.kind !== 'derived' || input.rule === 'positions') continue;
    const source = sources.get(input.from);
    if ('take' in input.rule && source && !source.take)
      throw new UserError(
        'dataset-format',
        `dataset.json: inputs["${name}"] takes "${input.rule.take}" of "${input.from}", which is no text.`,
      );
    if ('notEqual' in input.rule && source && !isCastable(source.dtype))
      throw new UserError('dataset-dtype', `Input "${name}" compares elements of type ${source.dtype} with a number.`);
  }
}

/** All inputs must have as many samples. */
function sampleCounts(
  dir: string,
  sources: ReadonlyMap<string, Source>,
  targets: Source | undefined,
): Record<Split, number> {
  const counts = { eval: 0, calibration: 0 };
  for (const split of ['eval', 'calibration'] as const) {
    let first: string | undefined;
    for (const [name, source] of sources) {
      const count = source.count(split);
      if (first === undefined) {
        first = name;
        counts[split] = count;
      } else if (count !== counts[split]) {
        throw new UserError(
          'dataset-count',
          `${dir}: input "${first}" has ${counts[split]} ${split} samples, but "${name}" has ${count}.`,
        );
      }
    }
  }
  if (counts.eval === 0) throw new UserError('dataset-empty', `${dir} holds no samples.`);
  const wanted = targets?.count('eval');
  if (wanted !== undefined && wanted !== counts.eval) {
    throw new UserError('dataset-count', `${dir}: there are ${counts.eval} samples, but ${wanted} targets.`);
  }
  return counts;
}
