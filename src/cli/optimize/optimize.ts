import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { reports } from '../../../reports/index.ts';
import { loadConfig } from '../../config/load.ts';
import { allowedDrop, whyOddLimit } from '../../drop-limit.ts';
import { createActivations, createOwnTextActivations } from '../../engine/activations.ts';
import { createCompute } from '../../engine/compute.ts';
import type { Evaluation } from '../../engine/evaluate.ts';
import { readHost } from '../../engine/host.ts';
import { createJudge } from '../../engine/judge.ts';
import { UserError } from '../../errors.ts';
import { makeFolder } from '../../make-folder.ts';
import { nearest } from '../../messages.ts';
import { loadModel } from '../../onnx/load.ts';
import type { LayerFindings } from '../../pass/judge.ts';
import { type Report, reportSchema } from '../../report/report.ts';
import { shellWord } from '../../shell-word.ts';
import { packageVersion } from '../../target/package-root.ts';
import { variesSentence } from '../artifact.ts';
import { rememberCalibration } from '../calibration-cache.ts';
import { whyNoSkill } from '../chance.ts';
import type { Session } from '../command.ts';
import { warnOfOverlap } from '../data.ts';
import { fitIfPossible, oldestRuntime, writtenFor } from '../fit-runtime.ts';
import { exitCodes } from '../io.ts';
import { partName } from '../model-parts.ts';
import { resolveModel } from '../model-source.ts';
import { refuseMountPoint, requireWritable } from '../output.ts';
import { writeAtomically } from '../write.ts';
import { type BuildOptions, variantBuilder } from './build.ts';
import type { Built } from './built.ts';
import { askTarget, type ChosenTarget, chooseTargets, makeArtifacts, needOf, sessionConfigOf } from './candidates.ts';
import { choose } from './choose.ts';
import { dataHash } from './data-hash.ts';
import { describeData, describeInput, notFinite, shownPath, verdictOf } from './describe.ts';
import type { OptimizeFlags } from './flags.ts';
import { identify } from './identity.ts';
import { moveInto } from './into-place.ts';
import { timeAll } from './latency.ts';
import { withLayerErrors } from './layer-errors.ts';
import { lockName, makeLock, readLock, requireSameFiles, requireSameInputs } from './lock.ts';
import { makeBundles } from './make-bundles.ts';
import { measureAll } from './measure.ts';
import { heldToFloor, rescuesOf } from './mixed.ts';
import { transformersVariants, writeTransformersNames } from './naming.ts';
import { openFitting } from './open-fitting.ts';
import { refuseOverwrite } from './overwrite.ts';
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
  refuseMountPoint(out, settings.out ?? out);
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
    // Before anything is measured, which takes most of the time; mixes are held against the lock when they are there.
    if (frozen) requireSameFiles(frozen, makeLock(identity, chosen, built));
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
    const { bundles, unmade } = await makeBundles(
      { targets: chosenTargets, answers, choice: { ...choice, variants }, artifacts, measured, floors },
      { facts: { input, seed: settings.seed, data }, folder: staging, talk },
    );
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

async function writeReports(report: Report, folder: string): Promise<void> {
  for (const { id, file } of [
    { id: 'json', file: 'report.json' },
    { id: 'html', file: 'report.html' },
  ]) {
    const reporter = reports.find((one) => one.id === id);
    if (reporter) await writeAtomically(join(folder, file), reporter.render(report), false);
  }
}
