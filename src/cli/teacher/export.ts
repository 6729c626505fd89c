import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Dataset } from '../../data/dataset.ts';
import { expose, exposureProblem } from '../../engine/expose.ts';
import { openModel } from '../../engine/open-model.ts';
import { StateRunner } from '../../engine/states.ts';
import { UserError } from '../../errors.ts';
import { cloneModel } from '../../ir/clone.ts';
import type { Model, Value } from '../../ir/graph.ts';
import { makeFolder } from '../../make-folder.ts';
import { formatBytes, formatCount, nearest } from '../../messages.ts';
import { loadModel } from '../../onnx/load.ts';
import { packageVersion } from '../../target/package-root.ts';
import { artifactFiles } from '../artifact.ts';
import type { Session } from '../command.ts';
import { openData } from '../data.ts';
import { resolveModel } from '../model-source.ts';
import { requireWritable } from '../output.ts';
import { writeAtomically } from '../write.ts';
import { clearExport, intactShards, type Manifest, newManifest, readManifest, writeManifest } from './manifest.ts';
import { canStore } from './safetensors.ts';
import type { ShardFormat } from './shard.ts';
import { ShardWriter } from './shard-writer.ts';
import { readmeText, trainScript } from './template.ts';

export interface TeacherFlags {
  readonly out?: string;
  readonly data?: string;
  readonly split?: 'calibration' | 'eval';
  readonly hidden?: readonly string[];
  readonly samples?: number;
  readonly batch?: number;
  readonly shard: number;
  readonly format: ShardFormat;
  readonly half?: boolean;
  readonly seed: number;
  readonly force?: boolean;
}

/** A shard is closed at this size too, however few samples it holds: it is made in memory. */
const largestShard = 256e6;

/** The work of `mlpack export-teacher`: inputs, outputs and inner values of a model in shards, for training a student elsewhere. */
export async function exportTeacher(modelText: string, flags: TeacherFlags, session: Session): Promise<void> {
  const { io, talk } = session;
  if (!flags.out) throw new UserError('out.missing', 'where should the result go? Give -o/--out <folder>.');
  const out = resolve(io.cwd, flags.out);
  const source = await resolveModel(modelText, session);
  await requireWritable(out, flags.out, { makesFolders: true });
  const known = flags.force ? undefined : await readManifest(out, flags.out);
  const model = await loadModel(source.file);
  const { teacher, hidden } = withHidden(model, flags.hidden ?? []);
  const runtime = await openModel(teacher, { label: 'the teacher' });
  try {
    const dataset = await openData(source, flags.data, session, runtime.inputs);
    if (!dataset)
      throw new UserError(
        'data.none',
        `what should the teacher look at? "${modelText}" has no dataset beside it; give --data <dir> (docs/datasets.md).`,
      );
    const outputs = runtime.outputs.filter(({ name }) => model.graph.outputs.some((output) => output.name === name));
    const refused = [...runtime.inputs, ...runtime.outputs].find(({ dtype }) => !canStore(dtype as never));
    if (refused)
      throw new UserError(
        'teacher.type',
        `"${refused.name}" is ${refused.dtype}, which shards cannot hold: cut that part off the model first.`,
      );
    const split = splitOf(dataset, flags, (text) => talk.note(text));
    const available = split === 'calibration' ? dataset.calibrationSamples : dataset.samples;
    const samples = Math.min(flags.samples ?? available, available);
    const files = await artifactFiles(source.file, model);
    const facts = {
      tool: `mlpack ${packageVersion()}`,
      model: { path: source.shown, sha256: files[0]?.sha256 ?? '' },
      data: { name: dataset.name, split, samples, seed: flags.seed },
      inputs: runtime.inputs,
      outputs,
      hidden: hidden.map(({ name }) => name),
      format: flags.format,
    };
    const settings = { batch: flags.batch ?? null, shard: flags.shard, half: flags.half === true };
    const identity = await identityOf({ ...facts, settings, files: files.map(({ sha256 }) => sha256) }, dataset, split);
    if (known && known.identity !== identity)
      throw new UserError(
        'teacher.other',
        `"${flags.out}" holds an export of another model, other data or other options; give another --out, or --force to begin anew.`,
      );
    if (flags.force) await clearExport(out);
    await makeFolder(out);
    let manifest: Manifest = {
      ...(known ?? newManifest({ ...facts, identity })),
      shards: await intactShards(out, known?.shards ?? []),
    };
    const doneBefore = manifest.shards.reduce((sum, shard) => sum + shard.samples, 0);
    if (known) talk.note(`goes on behind ${formatCount(doneBefore)} of ${formatCount(samples)} samples`);
    let skip = manifest.shards.reduce((sum, shard) => sum + shard.batches, 0);
    const runner = new StateRunner(
      runtime,
      runtime.outputs.map(({ name }) => name),
    );
    const writer = new ShardWriter(out, manifest.shards.length, flags.format);
    const close = async (): Promise<void> => {
      const shard = await writer.close();
      if (!shard) return;
      manifest = { ...manifest, shards: [...manifest.shards, shard] };
      await writeManifest(out, manifest);
    };
    await writeManifest(out, { ...manifest, complete: false });
    let done = 0;
    const options = {
      split,
      samples,
      seed: flags.seed,
      inputs: runtime.inputs,
      ...(flags.batch !== undefined && { batch: flags.batch }),
    };
    for await (const batch of dataset.batches(options)) {
      io.signal.throwIfAborted();
      done += batch.size;
      talk.progress('teach', `${done} of ${samples}`);
      const isDone = skip-- > 0;
      // States of what follows come from what went before.
      if (isDone && batch.states.size === 0) continue;
      const feeds = runner.feeds(batch);
      const results = await runner.run(batch);
      if (isDone) continue;
      writer.add(batch, feeds, results, facts, settings.half);
      if (writer.samples >= flags.shard || writer.bytes >= largestShard) await close();
    }
    await close();
    manifest = { ...manifest, complete: true };
    await writeManifest(out, manifest);
    for (const [name, text] of [
      ['train.py', trainScript],
      ['README.md', readmeText(manifest)],
    ] as const)
      if (!existsSync(join(out, name)) || flags.force) await writeAtomically(join(out, name), text, true);
    const bytes = manifest.shards.reduce((sum, shard) => sum + shard.bytes, 0);
    if (session.json) talk.json({ ok: true, out, ...manifest });
    else
      talk.out(
        `${flags.out}  ${formatCount(samples)} samples in ${manifest.shards.length} shards, ${formatBytes(bytes)}; next: cd ${flags.out} && python train.py`,
      );
  } finally {
    await runtime.dispose();
  }
}

/** @throws UserError for a name that no value and no node has */
function withHidden(model: Model, names: readonly string[]): { teacher: Model; hidden: readonly Value[] } {
  const teacher = cloneModel(model);
  const byName = new Map<string, Value>();
  for (const graph of teacher.graphs())
    for (const node of graph.nodes) {
      const [first] = node.outputs;
      if (first && node.name && !byName.has(node.name)) byName.set(node.name, first);
    }
  for (const graph of teacher.graphs())
    for (const node of graph.nodes) for (const output of node.outputs) if (output) byName.set(output.name, output);
  const hidden: Value[] = [];
  for (const name of names) {
    const value = byName.get(name);
    if (!value)
      throw new UserError(
        'teacher.hidden',
        `--hidden: no node or value of the model is called "${name}"${nearest(name, [...byName.keys()])}.`,
      );
    const problem = exposureProblem(value);
    if (problem) throw new UserError('teacher.hidden', `--hidden: "${name}" cannot be handed out: ${problem}.`);
    if (hidden.includes(value) || value.isGraphOutput) continue;
    expose(value, value.name);
    hidden.push(value);
  }
  return { teacher, hidden };
}

function splitOf(dataset: Dataset, flags: TeacherFlags, note: (text: string) => void): 'calibration' | 'eval' {
  if (flags.split === 'calibration' && dataset.calibrationSamples === 0)
    throw new UserError(
      'teacher.split',
      `${dataset.dir} has no calibration samples; leave --split out, or name some in dataset.json.`,
    );
  const split = flags.split ?? (dataset.calibrationSamples > 0 ? 'calibration' : 'eval');
  if (split === 'eval')
    note('these are the samples to evaluate on: judge the student on others, or what it scores will flatter it');
  return split;
}

/** Data are known by their first and last sample, their number and how they are prepared. */
async function identityOf(facts: object, dataset: Dataset, split: 'calibration' | 'eval'): Promise<string> {
  const count = split === 'calibration' ? dataset.calibrationSamples : dataset.samples;
  const ends = count === 0 ? [] : [await dataset.digest(split, 0), await dataset.digest(split, count - 1)];
  const { inputs, preprocessing, preparation, batch } = dataset;
  const text = JSON.stringify([facts, inputs, preprocessing, preparation, batch, count, ends]);
  return createHash('sha256').update(text).digest('hex');
}
