import { join, resolve } from 'node:path';
import { isCastable, numbersOf } from '../data/cast.ts';
import type { Batch, Dataset } from '../data/dataset.ts';
import { openDataset } from '../data/open-dataset.ts';
import { findOverlap, type Overlap } from '../data/overlap.ts';
import { withBatches } from '../data/part.ts';
import { openTokenizer, type Tokenizer } from '../data/tokenizer.ts';
import { evaluate } from '../engine/evaluate.ts';
import { openSession } from '../engine/session.ts';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { formatCount } from '../messages.ts';
import type { Session } from './command.ts';
import { modelFolder } from './data.ts';
import { resolveModel } from './model-source.ts';
import { requireWritable } from './output.ts';
import { writePicture } from './picture.ts';
import { table } from './talk.ts';

export interface DataCheckFlags {
  readonly model?: string;
  readonly show?: number;
  readonly pictures?: string;
}

/** A few equal rows come about by chance in tables of few values; of more than this share, nothing that is measured can be believed. */
const mostShared = 0.5;

/** Samples shown where nobody says how many. */
const usualShow = 3;

interface InputView {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly min: number | null;
  readonly mean: number | null;
  readonly max: number | null;
  readonly nonFinite: number;
  /** First values, or first texts. */
  readonly first: readonly (number | string)[];
  /** Token ids as text, where there is a tokenizer. */
  readonly text?: string;
  readonly picture?: string;
}

interface SampleView {
  readonly name: string;
  readonly label?: number;
  readonly className?: string;
  readonly truth?: unknown;
  readonly target?: readonly number[];
  readonly inputs: readonly InputView[];
}

/**
 * The work of `mlpack data check`: every sample is prepared once as for a model, a few are shown.
 * @returns 1 when samples cannot be read, or most of those to evaluate on serve calibration, too
 */
export async function dataCheck(dir: string, flags: DataCheckFlags, session: Session): Promise<number> {
  const { talk, io } = session;
  const model = flags.model === undefined ? undefined : await resolveModel(flags.model, session);
  const runtime = model && (await openSession(model.file));
  if (runtime) session.atEnd.push(() => runtime.dispose());
  const inputs = runtime?.inputs;
  const modelDir = model && modelFolder(model.file);
  const path = resolve(io.cwd, dir);
  // The check itself says how many samples are bad.
  const dataset = await openDataset(path, inputs, { modelDir, maxBad: 1 });
  session.atEnd.push(() => dataset.close());
  const tokenizer = await openTokenizer([path, ...(modelDir === undefined ? [] : [modelDir])]).catch(
    (error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    },
  );
  const show = flags.show ?? usualShow;
  const pictures = flags.pictures === undefined ? undefined : resolve(io.cwd, flags.pictures);
  if (pictures !== undefined)
    await requireWritable(join(pictures, '1.png'), flags.pictures ?? pictures, {
      makesFolders: true,
      flag: '--pictures',
    });
  const samples: SampleView[] = [];
  const classes = new Map<number, number>();
  const nonFinite: string[] = [];
  let read = 0;
  /** The first batch, and the one with the highest label. */
  const tried: Batch[] = [];
  let highest = -1;
  for await (const batch of dataset.batches({ batch: 1, ...(inputs && { inputs }) })) {
    io.signal.throwIfAborted();
    read += batch.size;
    const label = Math.max(-1, ...(batch.labels ?? []));
    if (tried.length === 0 || label > highest) tried.splice(1, 1, batch);
    highest = Math.max(highest, label);
    for (const label of batch.labels ?? []) classes.set(label, (classes.get(label) ?? 0) + 1);
    const name = dataset.sampleName('eval', batch.indices[0] ?? 0);
    if ([...batch.feeds.values()].some((tensor) => countNonFinite(tensor) > 0)) nonFinite.push(name);
    if (samples.length < show) samples.push(await viewSample(name, batch, { dataset, tokenizer, pictures }));
    talk.progress('read', `${read} of ${dataset.samples}`);
  }
  // What eval would refuse (a metric without its data, classes beyond the outputs) is said here already.
  if (runtime) await evaluate(runtime, withBatches(dataset, tried), { reference: runtime });
  talk.progress('compare');
  const overlap = await findOverlap(dataset);
  const found: Found = { dataset, samples, read, classes: balance(classes, dataset), nonFinite, overlap };
  if (session.json) printJson(found, session);
  else print(found, session);
  return dataset.bad.count > 0 || isMostlyShared(overlap) ? 1 : 0;
}

const isMostlyShared = ({ shared, looked }: Overlap): boolean => shared > mostShared * looked.eval;

interface Found {
  readonly dataset: Dataset;
  readonly samples: readonly SampleView[];
  readonly read: number;
  readonly classes: readonly { readonly name: string; readonly samples: number }[];
  /** Samples that feed NaN or infinities. */
  readonly nonFinite: readonly string[];
  readonly overlap: Overlap;
}

function balance(classes: ReadonlyMap<number, number>, { labelNames }: Dataset): Found['classes'] {
  const rows = [...classes].map(([id, samples]) => ({ name: labelNames?.[id] ?? String(id), samples }));
  return rows.sort((a, b) => b.samples - a.samples || a.name.localeCompare(b.name));
}

interface ViewContext {
  readonly dataset: Dataset;
  readonly tokenizer: Tokenizer | undefined;
  readonly pictures: string | undefined;
}

async function viewSample(name: string, batch: Batch, context: ViewContext): Promise<SampleView> {
  const label = batch.labels?.[0];
  const className = label === undefined ? undefined : context.dataset.labelNames?.[label];
  const truth = batch.truths?.[0];
  const inputs: InputView[] = [];
  for (const [input, tensor] of batch.feeds) inputs.push(await viewInput(input, tensor, name, context));
  return {
    name,
    ...(label !== undefined && { label }),
    ...(className !== undefined && { className }),
    ...(truth !== undefined && { truth }),
    ...(batch.targets && { target: firstNumbers(batch.targets) }),
    inputs,
  };
}

async function viewInput(name: string, tensor: Tensor, sample: string, context: ViewContext): Promise<InputView> {
  const { dtype, shape } = tensor;
  if (!isCastable(dtype)) {
    const utf8 = new TextDecoder();
    const first = (tensor.strings?.() ?? []).slice(0, 8).map((bytes) => utf8.decode(bytes));
    return { name, dtype, shape, min: null, mean: null, max: null, nonFinite: 0, first };
  }
  const values = numbersOf(tensor);
  let [min, max, sum, count] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  for (let at = 0; at < values.length; at++) {
    const value = values[at] as number;
    if (!Number.isFinite(value)) continue;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
    count++;
  }
  const isTokens = /input_ids$|^ids$|token(_id)?s$/i.test(name) && !/float/.test(dtype);
  const text = isTokens ? context.tokenizer?.decode(Array.from(values.subarray(0, 64))) : undefined;
  const picture =
    context.pictures === undefined ? undefined : await writePicture(context.pictures, `${sample}-${name}`, tensor);
  return {
    name,
    dtype,
    shape,
    min: count > 0 ? min : null,
    mean: count > 0 ? sum / count : null,
    max: count > 0 ? max : null,
    nonFinite: values.length - count,
    first: firstNumbers(tensor),
    ...(text !== undefined && { text }),
    ...(picture !== undefined && { picture }),
  };
}

const firstNumbers = (tensor: Tensor): number[] =>
  Array.from(numbersOf(tensor).subarray(0, 12), (value) => Number(value.toPrecision(4)));

function countNonFinite(tensor: Tensor): number {
  if (!/float/.test(tensor.dtype) || !isCastable(tensor.dtype)) return 0;
  const values = numbersOf(tensor);
  let count = 0;
  for (let at = 0; at < values.length; at++) if (!Number.isFinite(values[at])) count++;
  return count;
}

function printJson({ dataset, samples, read, classes, nonFinite, overlap }: Found, { talk }: Session): void {
  talk.json({
    data: dataset.dir,
    name: dataset.name,
    samples: dataset.samples,
    readable: read,
    calibrationSamples: dataset.calibrationSamples,
    metric: dataset.metric ?? null,
    notes: dataset.notes,
    bad: dataset.bad,
    nonFinite: nonFinite.length,
    shared: overlap.shared,
    repeated: overlap.repeated,
    classes,
    shown: samples,
  });
}

function print({ dataset, samples, read, classes, nonFinite, overlap }: Found, { talk }: Session): void {
  const { style } = talk;
  talk.out(
    `${style.bold(dataset.name)}: ${formatCount(dataset.samples)} samples to evaluate on, ${formatCount(dataset.calibrationSamples)} for calibration; ${dataset.metric === undefined ? 'no metric named' : `judged by ${dataset.metric}`}`,
  );
  for (const note of dataset.notes) talk.out(style.dim(note));
  for (const sample of samples) {
    const said = [
      sample.label === undefined
        ? ''
        : `class ${sample.label}${sample.className === undefined || sample.className === String(sample.label) ? '' : ` (${sample.className})`}`,
      sample.truth === undefined ? '' : JSON.stringify(sample.truth).slice(0, 120),
      sample.target === undefined ? '' : `target ${sample.target.join(' ')}`,
    ].filter((part) => part !== '');
    talk.out(`\n${style.bold(sample.name)}${said.length > 0 ? `  ${said.join(', ')}` : ''}`);
    const number = (value: number | null): string => (value === null ? '' : String(Number(value.toPrecision(4))));
    const rows = sample.inputs.map((input) => [
      `  ${input.name}`,
      `${input.dtype}[${input.shape.join(', ')}]`,
      number(input.min),
      number(input.mean),
      number(input.max),
    ]);
    talk.out(table([['  input', 'fed as', 'min', 'mean', 'max'], ...rows], [2, 3, 4]));
    for (const input of sample.inputs) {
      if (input.text !== undefined) talk.out(`  ${input.name} reads: ${input.text}`);
      else if (input.first.length > 0) talk.out(style.dim(`  ${input.name} begins: ${input.first.join(' ')}`));
      if (input.picture !== undefined) talk.out(`  ${input.name} as a picture: ${input.picture}`);
    }
  }
  if (classes.length > 0) printClasses(classes, talk);
  talk.out('');
  const bad =
    dataset.bad.count === 0
      ? 'all samples can be read'
      : `${samplesOf(dataset.bad.count)} cannot be read (${read} can): ${dataset.bad.examples.join(' ')}`;
  talk.out(bad);
  if (nonFinite.length > 0)
    talk.out(
      `${samplesOf(nonFinite.length)} with NaN (missing values) or infinities: ${nonFinite.slice(0, 3).join(', ')}`,
    );
  if (overlap.repeated > 0)
    talk.out(`${samplesOf(overlap.repeated)} equal to another: ${overlap.repeatedExamples.join(', ')}`);
  if (overlap.shared > 0)
    talk.out(
      `${overlap.shared} of ${overlap.looked.eval} samples are equal to calibration samples: ${overlap.examples.join(', ')}${overlap.shared > overlap.examples.length ? ', …' : ''}; accuracy measured on them flatters the result${isMostlyShared(overlap) ? ', and they are the most: evaluate on others' : ''}`,
    );
}

const samplesOf = (count: number): string => `${formatCount(count)} ${count === 1 ? 'sample' : 'samples'}`;

/** Classes shown on each side. */
const shownClasses = 8;

function printClasses(classes: Found['classes'], talk: Session['talk']): void {
  const counts = classes.map(({ samples }) => samples);
  const [most, least] = [counts[0] ?? 0, counts.at(-1) ?? 0];
  talk.out(
    `\n${classes.length} classes, of ${least} to ${most} samples${most >= 10 * Math.max(1, least) ? ' (unbalanced: a metric such as macro f1 hears small classes)' : ''}`,
  );
  const shown =
    classes.length <= 2 * shownClasses
      ? classes
      : [...classes.slice(0, shownClasses), { name: '…', samples: Number.NaN }, ...classes.slice(-shownClasses)];
  talk.out(
    table(
      shown.map(({ name, samples }) => [`  ${name}`, Number.isNaN(samples) ? '' : String(samples)]),
      [1],
    ),
  );
}
