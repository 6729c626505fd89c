import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { reports } from '../../../reports/index.ts';
import { loadConfig } from '../../config/load.ts';
import type { Dataset } from '../../data/dataset.ts';
import { allowedDrop, whyOddLimit } from '../../drop-limit.ts';
import { createActivations, createOwnTextActivations } from '../../engine/activations.ts';
import { createCompute } from '../../engine/compute.ts';
import type { Evaluation } from '../../engine/evaluate.ts';
import { readHost } from '../../engine/host.ts';
import { createJudge } from '../../engine/judge.ts';
import { bug, UserError } from '../../errors.ts';
import type { Model } from '../../ir/graph.ts';
import { modelStats } from '../../ir/stats.ts';
import { makeFolder } from '../../make-folder.ts';
import { nearest } from '../../messages.ts';
import { loadModel } from '../../onnx/load.ts';
import type { LayerFindings } from '../../pass/judge.ts';
import {
  type BundleResult,
  type DataInfo,
  type Report,
  reportSchema,
  type VariantResult,
} from '../../report/report.ts';
import { buildBundle } from '../../target/bundle.ts';
import { evidenceOf, timesOf } from '../../target/evidence.ts';
import { packageVersion } from '../../target/package-root.ts';
import type { Artifact } from '../../target/target.ts';
import { artifactFiles, variesSentence } from '../artifact.ts';
import { rememberCalibration } from '../calibration-cache.ts';
import { whyNoSkill } from '../chance.ts';
import type { Session } from '../command.ts';
import { warnOfOverlap } from '../data.ts';
import { fitIfPossible, oldestRuntime, writtenFor } from '../fit-runtime.ts';
import { exitCodes } from '../io.ts';
import { partName } from '../model-parts.ts';
import { type ModelSource, resolveModel } from '../model-source.ts';
import { requireWritable } from '../output.ts';
import { shellWord } from '../shell-word.ts';
import { writeAtomically } from '../write.ts';
import { besideOf } from './beside.ts';
import { type BuildOptions, variantBuilder } from './build.ts';
import type { Built } from './built.ts';
import {
  askTarget,
  type ChosenTarget,
  chooseTargets,
  makeArtifacts,
  needOf,
  noBundleReason,
  sessionConfigOf,
} from './candidates.ts';
import { choose } from './choose.ts';
import { dataHash } from './data-hash.ts';
import type { OptimizeFlags } from './flags.ts';
import { identify } from './identity.ts';
import { timeAll } from './latency.ts';
import { withLayerErrors } from './layer-errors.ts';
import { lockName, makeLock, readLock, requireSameFiles, requireSameInputs } from './lock.ts';
import { madeBundle } from './made-bundle.ts';
import { measureAll } from './measure.ts';
import { heldToFloor, rescuesOf } from './mixed.ts';
import { transformersVariants, writeTransformersNames } from './naming.ts';
import { openFitting } from './open-fitting.ts';
import { carryOver, refuseOverwrite } from './overwrite.ts';
import { openPassCache } from './pass-cache.ts';
import { chooseProviders, noProviders } from './providers.ts';
import { findSensitivity, sensitivityOf } from './sensitivity.ts';
import { resolveSettings, type Settings } from './settings.ts';
import { printSummary } from './summary.ts';
import { defaultVariants, forOutputsOf, needsData, planVariants, type VariantPlan } from './variants.ts';

/**
 * The main job: build variants, measure all, choose one for each target, bundle, report. Everything is made in a folder
 * beside the output and renamed at the end, so that an interrupted run leaves nothing.
 * @returns 1 when no variant keeps the floor, which only a base model that cannot be judged brings about.
 */
export async function optimize(modelText: string | undefined, flags: OptimizeFlags, session: Session): Promise<number> {
  const { io, talk } = session;
  const settings = resolveSettings(modelText, flags, await loadConfig(flags.config, io.cwd));
  const chosenTargets = chooseTargets(settings.targets);
  const source = await resolveModel(settings.model, session);
  const out = resolve(io.cwd, settings.out ?? `${source.name}-mlpack`);
  refuseOverwrite(out, settings, [source.file, io.cwd]);
  await requireWritable(out, settings.out ?? out, { makesFolders: true });
  const ready = settings.bench ? await chooseProviders(settings.providers, chosenTargets, session) : noProviders;
  const wanted = settings.variants ? { build: settings.variants, left: [] } : usualVariants(settings, chosenTargets);
  const oldest = oldestRuntime(chosenTargets);
  const planned = (names: readonly string[]): VariantPlan[] =>
    planVariants(names, settings.ownVariants).map((plan) => writtenFor(heldToFloor(plan, settings), oldest));
  const named = planned(wanted.build);
  for (const { target, from } of chosenTargets) refuseUnknownVariant(target.id, from, named);
  talk.progress('read', source.file);
  const base = await loadModel(source.file);
  const plans = forOutputsOf(base, named);
  const { inputs, outputs, dataset, unread } = await openFitting(source, base, settings, session);
  if (dataset) await warnOfOverlap(dataset, session);
  const staging = `${out}.part-${process.pid}`;
  io.scratch.add(staging);
  try {
    await makeFolder(join(staging, 'variants'));
    const chosen = dataset || settings.variants ? plans : plans.filter((plan) => !needsData(plan));
    const host = await readHost();
    const identity = await identify({ file: source.file, model: base }, dataset, settings, host);
    const frozen = settings.frozen ? await readLock(settings.lock, out, session) : undefined;
    if (frozen) requireSameInputs(frozen, makeLock(identity, chosen, []));
    const plain = dataset && createActivations(dataset, { seed: settings.seed, signal: io.signal });
    const findings = new Map<string, LayerFindings>();
    const { seed, samples } = settings;
    const judge = createJudge(dataset, { seed, signal: io.signal, ...(samples !== undefined && { samples }) });
    const building: BuildOptions = {
      // A run that is to prove something makes everything itself.
      cache: settings.cache && !frozen ? openPassCache(identity, session) : undefined,
      folder: join(staging, 'variants'),
      context: {
        compute: createCompute(),
        activations:
          plain && dataset && settings.cache && !frozen
            ? rememberCalibration(plain, dataset, settings.seed, session)
            : plain,
        ownText: (model) => createOwnTextActivations(model, { seed: settings.seed, signal: io.signal }),
        judge,
        progress: (what) => talk.progress('search', what),
        signal: io.signal,
        seed: settings.seed,
      },
      found: (variant, found) => findings.set(variant, found),
      onStep: (variant, step) => talk.progress(`build ${variant}`, step.pass.id),
      warn: (text) => talk.warn(text),
    };
    const build = variantBuilder(base, building);
    const built = await build(chosen);
    const context = { settings, base, dataset, unread, session };
    let ofBase: Evaluation | undefined;
    const judged = await measureAll(built, {
      ...context,
      onBase: (evaluation) => {
        ofBase = evaluation;
        const odd = whyOddLimit(settings.maxDrop, evaluation.metric, evaluation.value);
        if (odd !== undefined) talk.note(`${odd}.`);
      },
    });
    const limits = { maxDrop: maxDropOf(settings, ofBase), minSqnrDb: settings.minSqnrDb };
    const rescues = settings.variants || !dataset ? [] : rescuesOf(judged, { ...limits, unread });
    const [, ...later] = forOutputsOf(base, planned(rescues.map(({ variant }) => variant)));
    const mixes: Built[] = [];
    for (const [at, { why }] of rescues.entries()) {
      talk.note(`${why}; a mix of formats is searched for.`);
      mixes.push(...(await build(later.slice(at, at + 1))));
    }
    if (mixes.length > 0) {
      const [, ...measured] = await measureAll([...built.slice(0, 1), ...mixes], context);
      built.push(...mixes);
      judged.push(...measured);
    }
    const lock = makeLock(identity, chosen, built, later);
    if (frozen) {
      requireSameFiles(frozen, lock);
      talk.note('every variant is bit by bit the one of the lock');
    }
    const artifacts = await makeArtifacts(built, judged, {
      source,
      dataset,
      settings,
      targets: chosenTargets,
      fit: (file) => fitIfPossible(file, oldest, session),
      signal: io.signal,
    });
    const varies = artifacts.get('base')?.varies;
    if (varies !== undefined && chosenTargets.length > 0) talk.note(variesSentence(varies));
    const answers = chosenTargets.map((target) => askTarget(target, artifacts));
    const {
      measured,
      warnings: ofTiming,
      ...timing
    } = await timeAll(judged, {
      ...context,
      ready,
      artifacts,
      sessionConfig: (variant, provider) => sessionConfigOf(answers, variant, provider),
    });
    const noSkill = ofBase && whyNoSkill(ofBase);
    const floors = { ...limits, noSkill, unread };
    const warnings = [
      ...(ofBase ? notFinite(ofBase, dataset) : []),
      ...(noSkill === undefined ? [] : [`The accuracy says nothing: ${noSkill}`]),
      ...ofTiming,
    ];
    const choice = choose(measured, floors, answers.map(needOf));
    const variants = await withLayerErrors(choice.variants, { ...context, folder: staging });
    const input = { ...(await describeInput(source, base, io.cwd)), inputs, outputs };
    const data = {
      ...describeData(dataset, settings, io.cwd),
      ...(dataset && ofBase && { sha256: await dataHash(dataset, ofBase) }),
    };
    const bundles: BundleResult[] = [];
    const unmade = new Set<string>();
    for (const [at, { target, from, options }] of chosenTargets.entries()) {
      const auto = choice.recommendations.find((one) => one.target === target.id)?.variant;
      const name = from === 'auto' ? auto : from;
      const artifact = name === undefined ? undefined : artifacts.get(name);
      if (!artifact) {
        talk.warn(`no bundle for ${target.id}: ${noBundleReason(name, answers[at] ?? bug(target.id))}`);
        continue;
      }
      const chosen = variants.find((one) => one.name === name);
      if (chosen?.verdict === 'rejected') {
        talk.warn(
          `the bundle for ${target.id} holds ${name} because the config asks for it; it was rejected: ${chosen.reasons.join('; ')}`,
        );
      }
      talk.progress(`bundle ${target.id}`, name);
      const dir = join(staging, 'bundles', target.id);
      const facts = { input, seed: settings.seed, data };
      const withEvidence = (one: Artifact): Artifact => {
        const variant = variants.find((other) => other.name === one.variant);
        return variant ? { ...one, evidence: evidenceOf(facts, variant) } : one;
      };
      const others = besideOf({ target, from, options }, artifact, {
        ...{ measured, artifacts, floors },
        timed: (variant) => ({ ...evidenceOf(facts, variant), latency: timesOf(variant) }),
      });
      const packed = { ...withEvidence(artifact), ...(others.length > 0 && { others: others.map(withEvidence) }) };
      const result = await madeBundle(
        () => buildBundle(target, packed, options, dir, {}),
        { target: target.id, variant: artifact.variant, dir },
        talk,
      );
      if (result === undefined) {
        unmade.add(target.id);
        continue;
      }
      if (others.length > 0)
        talk.note(
          `${target.id}: beside ${artifact.variant} the bundle holds ${others.map(({ variant }) => variant).join(', ')}`,
        );
      bundles.push({ ...result, dir: `bundles/${target.id}` });
    }
    const recommendations = choice.recommendations.filter((one) => !unmade.has(one.target));
    const ranked =
      findings.size > 0 ? undefined : await findSensitivity(variants, { base, judge, passes: building.context, talk });
    const sensitivity = sensitivityOf(findings, ranked, variants);
    const report: Report = {
      schema: reportSchema,
      tool: { name: 'mlpack', version: packageVersion() },
      createdAt: new Date().toISOString(),
      command: ['mlpack', ...io.argv].map(shellWord).join(' '),
      seed: settings.seed,
      host,
      input,
      data,
      limits,
      origins: settings.origins,
      targets: chosenTargets.map(({ target }) => target.id),
      ...(sensitivity && { sensitivity }),
      variants,
      ...(wanted.left.length > 0 && { notBuilt: wanted.left }),
      bundles,
      recommendations,
      ...(warnings.length > 0 && { warnings }),
      ...timing,
      verdict: verdictOf(variants, recommendations.length, chosenTargets.length),
    };
    if (settings.naming === 'transformers-js')
      for (const sentence of await writeTransformersNames(built, staging, partName(source.file) ?? 'model'))
        talk.warn(sentence);
    await writeReports(report, staging);
    await writeAtomically(join(staging, lockName), `${JSON.stringify(lock, undefined, 2)}\n`, false);
    io.signal.throwIfAborted();
    // Another run may have made it meanwhile, which only --force replaces.
    refuseOverwrite(out, settings, [source.file, io.cwd]);
    const carried = await moveInto(staging, out);
    if (carried.length > 0)
      talk.note(`left in ${shownPath(out, io.cwd)}, since no run wrote it: ${carried.join(', ')}`);
    if (session.json) talk.json(report);
    else printSummary(report, shownPath(out, io.cwd), talk, io.stdout);
    return report.verdict.ok ? exitCodes.ok : exitCodes.gate;
  } finally {
    await rm(staging, { recursive: true, force: true });
    io.scratch.delete(staging);
  }
}

/** A share is one of what base reaches; where that is no number, none of it may be lost. */
function maxDropOf({ maxDrop }: Settings, ofBase: Evaluation | undefined): number {
  const value = ofBase?.value ?? 1;
  return allowedDrop(maxDrop, ofBase?.metric ?? '', Number.isFinite(value) ? value : 0);
}

/** Outputs of the model itself that are no numbers: what is held against them says little. */
function notFinite({ nonFinite, nonFiniteSamples, samples }: Evaluation, dataset: Dataset | undefined): string[] {
  if (nonFinite === 0 || !dataset) return [];
  const names = nonFiniteSamples.map((index) => dataset.sampleName('eval', index)).join(', ');
  return [
    `The model itself gives NaN or infinite outputs on ${nonFinite} of ${samples} samples (${names}${nonFinite > nonFiniteSamples.length ? ', …' : ''}): look at what goes in with mlpack data check`,
  ];
}

/** The variants that can pay on the providers asked for, else on those of the targets. */
function usualVariants(settings: Settings, targets: readonly ChosenTarget[]): ReturnType<typeof defaultVariants> {
  if (settings.naming === 'transformers-js') return { build: transformersVariants, left: [] };
  return defaultVariants(settings.providers ?? [...new Set(targets.flatMap(({ target }) => target.providers))]);
}

/** A target that wants a variant nobody builds: said before the work. */
function refuseUnknownVariant(target: string, from: string, plans: readonly { readonly name: string }[]): void {
  const names = plans.map((plan) => plan.name);
  if (from === 'auto' || names.includes(from)) return;
  throw new UserError('target.from', `target ${target}: there is no variant "${from}"${nearest(from, names)}.`);
}

/** Replaces `out` (allowed by --force) only after the new folder is complete. */
/** @returns names of what was in the folder before and is no run's */
async function moveInto(staging: string, out: string): Promise<string[]> {
  await makeFolder(dirname(out));
  if (!existsSync(out)) {
    await rename(staging, out);
    return [];
  }
  const old = `${out}.old-${process.pid}`;
  await rename(out, old);
  try {
    await rename(staging, out);
  } catch (error) {
    await rename(old, out);
    throw error;
  }
  const carried = await carryOver(old, out);
  await rm(old, { recursive: true });
  return carried;
}

async function describeInput(
  source: ModelSource,
  model: Model,
  cwd: string,
): Promise<Omit<Report['input'], 'inputs' | 'outputs'>> {
  const stats = modelStats(model);
  const files = await artifactFiles(source.file, model);
  const [file = bug('a model without a file'), ...external] = files;
  return {
    // A config gives an absolute path; below the working folder the relative one is what CI can point at.
    path: isAbsolute(source.shown) ? shownPath(source.shown, cwd) : source.shown,
    sha256: file.sha256,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(external.length > 0 && { externalData: external.map(({ source: _, ...facts }) => facts) }),
    parameters: stats.parameters,
    nodes: stats.nodes,
    irVersion: model.irVersion,
    opsets: Object.fromEntries(model.opsets),
    producer: [model.producerName, model.producerVersion].filter(Boolean).join(' '),
  };
}

function describeData(dataset: Dataset | undefined, settings: Settings, cwd: string): DataInfo {
  if (!dataset)
    return { path: '', name: 'made-up inputs', samples: 0, calibrationSamples: 0, metric: null, synthetic: true };
  return {
    path: shownPath(dataset.dir, cwd),
    name: dataset.name,
    samples: Math.min(settings.samples ?? dataset.samples, dataset.samples),
    calibrationSamples: dataset.calibrationSamples,
    metric: dataset.metric ?? null,
    synthetic: false,
  };
}

/** Relative where that is the shorter story: below the working folder. */
function shownPath(path: string, cwd: string): string {
  const below = relative(cwd, path);
  return below === '' || below.startsWith('..') || isAbsolute(below) ? path : below;
}

function verdictOf(variants: readonly VariantResult[], recommended: number, targets: number): Report['verdict'] {
  const better = variants.filter((one) => one.verdict === 'recommended' && one.name !== 'base');
  const base = variants.find((one) => one.name === 'base');
  if (base?.verdict === 'rejected') return { ok: false, reasons: base.reasons };
  if (recommended < targets) return { ok: false, reasons: ['not every target has a variant that it can take'] };
  if (better.length === 0) return { ok: true, reasons: ['nothing smaller or faster passed: ship the model as it is'] };
  return { ok: true, reasons: better.map((one) => `${one.name}: ${one.reasons.join(', ')}`) };
}

async function writeReports(report: Report, folder: string): Promise<void> {
  for (const { id, file } of [
    { id: 'json', file: 'report.json' },
    { id: 'html', file: 'report.html' },
  ]) {
    const reporter = reports.find((one) => one.id === id);
    if (reporter) await writeAtomically(join(folder, file), reporter.render(report), false);
  }
}
