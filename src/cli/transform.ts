import { resolve } from 'node:path';
import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import { upgradeOpset } from '../ir/opset-upgrade.ts';
import { formatBytes, formatCount, formatMs } from '../messages.ts';
import type { Step } from '../pass/pass.ts';
import { countNodes, runSteps, type StepTrace } from '../pass/pipeline.ts';
import { leftAlone } from '../report/facts.ts';
import type { Session } from './command.ts';
import type { CompressedSizes } from './compressed-size.ts';
import { modelBytes } from './model-size.ts';
import { resolveModel } from './model-source.ts';
import { entryAt, requireFileName, requireWritable } from './output.ts';
import { createContext } from './pass-context.ts';
import type { VerifyResult } from './verify.ts';

export interface TransformFlags {
  readonly out?: string;
  readonly force?: boolean;
  readonly data?: string;
  readonly allowModules?: boolean;
  readonly calibrationSamples?: number;
  readonly verify?: boolean;
  readonly seed: number;
  readonly cache?: boolean;
  readonly externalData: 'auto' | 'always' | 'never';
  /** Opset to raise the model to before the steps. */
  readonly opset?: number;
}

/** The work of `run` and of every pass command: read, apply, verify when asked, write, say what happened. */
export async function transform(
  modelText: string,
  steps: readonly Step[],
  flags: TransformFlags,
  session: Session,
): Promise<number> {
  const { talk, io } = session;
  if (!flags.out) throw new UserError('out.missing', 'where should the result go? Give -o/--out <file.onnx>.');
  const out = resolve(io.cwd, flags.out);
  requireFileName(out, flags.out);
  if (entryAt(out) && !flags.force) {
    throw new UserError('out.exists', `"${flags.out}" exists; give another --out, or --force to replace it.`);
  }
  await requireWritable(out, flags.out, { makesFolders: false });
  const { loadModel } = await import('../onnx/load.ts');
  const { saveModel, saveUnhashed } = await import('../onnx/save.ts');
  const source = await resolveModel(modelText, session);
  talk.progress('read', source.file);
  const model = await loadModel(source.file);
  const before = modelBytes(source.file, model);
  // Zeros do not make a file smaller, only its compressed form: pruning is judged by the download.
  const prunes = steps.some((step) => compressing.has(step.pass.id));
  const compressedSizes = prunes ? (await import('./compressed-size.ts')).compressedSizes : undefined;
  const sizesBefore = await compressedSizes?.(source.file, model);
  const base = flags.verify ? await loadModel(source.file) : undefined;
  const why = flags.opset === undefined ? undefined : upgradeOpset(model, flags.opset);
  if (why) throw new UserError('opset.raise', `the opset stays at ${model.opset}: ${why}.`);
  const context = await createContext(source, flags, session);
  let pass = '';
  const traces = await runSteps(model, steps, {
    context: { ...context, progress: (what) => talk.progress(pass, what) },
    onStep: (step) => {
      pass = step.pass.id;
      talk.progress(pass);
    },
  });
  const check = base ? await verifyResult(base, model, steps, flags.seed, session) : undefined;
  if (base && check && !check.ok && flags.opset === undefined) {
    const { firstBreaking } = await import('./bisect.ts');
    const which = await firstBreaking(base, steps, flags.seed, context, (what) => talk.progress(what));
    if (which) check.sentence += `. ${which}`;
  }
  talk.progress('write', flags.out);
  const options = { force: flags.force === true, externalData: flags.externalData };
  const hashed = session.json ? await saveModel(model, out, options) : undefined;
  const written = hashed ?? (await saveUnhashed(model, out, options));
  const sizesAfter = await compressedSizes?.(out, await loadModel(out));
  const sizes = sizesBefore && sizesAfter && { before: sizesBefore, after: sizesAfter };
  if (hashed) {
    talk.json({
      ok: check?.ok ?? true,
      input: { path: source.file, bytes: before, ...(sizes && sizesOf(sizes.before)) },
      output: {
        path: out,
        bytes: written.bytes,
        ...(sizes && sizesOf(sizes.after)),
        sha256: hashed.sha256,
        files: hashed.files,
      },
      nodes: countNodes(model),
      steps: traces.map(({ applications: _, ...step }) => step),
      ...(check && { verify: check }),
    });
  } else {
    for (const trace of traces) talk.out(describeStep(trace, talk.style));
    talk.out(
      `${flags.out}  ${formatBytes(before)} → ${formatBytes(written.bytes)}  (${formatCount(countNodes(model))} nodes)`,
    );
    if (sizes) talk.out(`download  ${describeSizes(sizes.before, sizes.after)}`);
    if (check) talk.out(check.sentence);
  }
  return check && !check.ok ? 1 : 0;
}

/** Passes that make a file compress better, and not smaller. */
const compressing: ReadonlySet<string> = new Set(['prune-weights', 'cluster-weights']);

/** `downloadBytes` is what a browser gets: brotli. */
const sizesOf = (compressed: CompressedSizes): object => ({ downloadBytes: compressed.brotli, compressed });

/** `gzip 1.02 MB → 712 kB, brotli …` */
function describeSizes(before: CompressedSizes, after: CompressedSizes): string {
  const names = ['gzip', 'brotli', 'zstd'] as const;
  return names
    .flatMap((name) => {
      const [from, to] = [before[name], after[name]];
      return from === null || to === null ? [] : [`${name} ${formatBytes(from)} → ${formatBytes(to)}`];
    })
    .join(', ');
}

type Style = Session['talk']['style'];

/** One step for the terminal: what it did, and the reasons it did not, by what they cost. */
export function describeStep(trace: StepTrace, style: Style, reasons = 5): string {
  const fired = Object.entries(trace.applied).sort(([, a], [, b]) => b - a);
  const lines = [
    `${style.bold(trace.pass)}  ${trace.nodesBefore} → ${trace.nodesAfter} nodes, ${formatMs(trace.ms)}` +
      (trace.changed ? '' : style.dim('  (nothing to change)')),
  ];
  if (fired.length > 0) lines.push(`  ${fired.map(([rule, count]) => `${rule} ×${count}`).join(', ')}`);
  for (const note of trace.notes ?? []) lines.push(`  ${note}`);
  const sorted = leftAlone(trace.skipped);
  for (const { why, members } of sorted.slice(0, reasons)) {
    const node = members[0]?.node ?? '';
    lines.push(style.dim(`  left ${members.length > 1 ? `${members.length} × (first ${node})` : node}: ${why}`));
  }
  if (sorted.length > reasons)
    lines.push(style.dim(`  … and ${sorted.length - reasons} more reasons (--json lists all)`));
  return lines.join('\n');
}

/** Runs both models on seeded inputs and holds the difference against what the steps promise. */
async function verifyResult(
  base: Model,
  model: Model,
  steps: readonly Step[],
  seed: number,
  session: Session,
): Promise<VerifyResult> {
  session.talk.progress('verify');
  const { verifyNumerics } = await import('./verify.ts');
  return verifyNumerics(base, model, steps, seed, session.io.signal);
}
