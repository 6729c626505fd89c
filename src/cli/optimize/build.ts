import { rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../../errors.ts';
import { cloneModel } from '../../ir/clone.ts';
import type { Model } from '../../ir/graph.ts';
import { modelStats } from '../../ir/stats.ts';
import { makeFolder } from '../../make-folder.ts';
import { saveModel } from '../../onnx/save.ts';
import { judgeFrom, type LayerFindings } from '../../pass/judge.ts';
import type { PassContext, Step } from '../../pass/pass.ts';
import { isLossy, runSteps, type StepTrace } from '../../pass/pipeline.ts';
import type { Built } from './built.ts';
import type { PassCache } from './pass-cache.ts';
import { twinReason } from './twin-reason.ts';
import type { VariantPlan } from './variants.ts';

export interface BuildOptions {
  readonly folder: string;
  readonly context: Omit<PassContext, 'applied' | 'skipped' | 'found'>;
  /** What a pass measured of the layers while it made a variant. */
  readonly found?: (variant: string, findings: LayerFindings) => void;
  readonly onStep: (variant: string, step: Step) => void;
  readonly warn: (text: string) => void;
  /** Finished variants of earlier runs. */
  readonly cache?: PassCache | undefined;
}

interface Prefix {
  readonly model: Model;
  readonly steps: readonly StepTrace[];
  /** The steps that changed something: two variants with the same ones are the same file. */
  readonly effect: string;
  /** Whether one of these may have lost something. */
  readonly lossy: boolean;
}

/** What is begun already. */
interface Begun {
  readonly base: Model;
  readonly prefixes: Map<string, Prefix>;
  /** The same by what had an effect before: behind a step that changed nothing the next one does what it did without that. */
  readonly outcomes: Map<string, { readonly after: Prefix; readonly traces: readonly StepTrace[] }>;
  /** Variants by their effect. */
  readonly made: Map<string, string>;
}

/** Builds variants of one model, all at once or one after the other, for as long as it is kept. */
type Builder = (plans: readonly VariantPlan[]) => Promise<Built[]>;

/**
 * Plans are walked as a tree: steps that several variants begin with run once, those of a later call too. Memory holds one
 * model structure for each open prefix; weights are shared between them.
 */
export function variantBuilder(base: Model, options: BuildOptions): Builder {
  const prefixes = new Map<string, Prefix>([['', { model: base, steps: [], effect: '', lossy: false }]]);
  const begun: Begun = { base, prefixes, outcomes: new Map(), made: new Map() };
  return async (plans) => {
    const built: Built[] = [];
    for (const plan of plans) built.push(await buildOne(plan, begun, options));
    return built;
  };
}

async function buildOne(plan: VariantPlan, begun: Begun, options: BuildOptions): Promise<Built> {
  const { base, prefixes, outcomes, made } = begun;
  const known = await takeKept(plan, made, options);
  if (known) return known;
  let key = '';
  let at: Prefix = prefixes.get(key) as Prefix;
  try {
    for (const step of plan.steps) {
      const own = `${step.pass.id}${JSON.stringify(step.options)};`;
      key += own;
      const known = prefixes.get(key);
      if (known) {
        at = known;
        continue;
      }
      const sameBefore = `${at.effect}|${own}`;
      const outcome = outcomes.get(sameBefore);
      if (outcome) {
        at = { ...outcome.after, steps: [...at.steps, ...outcome.traces] };
        prefixes.set(key, at);
        continue;
      }
      const model = cloneModel(at.model);
      const judge = at.lossy && options.context.judge ? judgeFrom(options.context.judge, base) : options.context.judge;
      const traces = await runSteps(model, [step], {
        context: { ...options.context, judge, found: (findings) => options.found?.(plan.name, findings) },
        onStep: () => options.onStep(plan.name, step),
      });
      const changed = traces.some((trace) => trace.changed);
      at = {
        model,
        steps: [...at.steps, ...traces],
        effect: changed ? at.effect + own : at.effect,
        lossy: at.lossy || (changed && isLossy(step)),
      };
      prefixes.set(key, at);
      outcomes.set(sameBefore, { after: at, traces });
    }
  } catch (error) {
    options.context.signal.throwIfAborted();
    // A pass that refuses the model ends this variant, not the run. A bug in a pass must not hide, but neither may it
    // cost the user the other variants: it is reported as one.
    if (!(error instanceof UserError))
      options.warn(`${plan.name}: a pass failed; please report this.\n${error instanceof Error ? error.stack : error}`);
    const why = error instanceof Error ? error.message : String(error);
    return { ...nothing(plan, at), blockers: [`could not be built: ${why}`] };
  }
  const twin = made.get(at.effect);
  if (twin !== undefined) {
    await keep(plan, nothing(plan, at), at.effect, options);
    return { ...nothing(plan, at), blockers: [twinReason(at.steps, twin)] };
  }
  made.set(at.effect, plan.name);
  const path = join(options.folder, plan.name, 'model.onnx');
  await makeFolder(dirname(path));
  const saved = await saveModel(at.model, path, {});
  const built: Built = {
    ...nothing(plan, at),
    path,
    sha256: saved.sha256,
    bytes: await totalBytes(path, saved.files),
    files: saved.files,
  };
  await keep(plan, built, at.effect, options);
  return built;
}

/** The variant as an earlier run built it. One that was the same as another then has no file: without the other it is built. */
async function takeKept(
  plan: VariantPlan,
  made: Map<string, string>,
  options: BuildOptions,
): Promise<Built | undefined> {
  if (plan.steps.length === 0) return undefined;
  const folder = join(options.folder, plan.name);
  const kept = await options.cache?.take(plan.steps, folder);
  if (!kept) return undefined;
  const { effect, sha256, bytes, ...facts } = kept;
  const twin = made.get(effect);
  if (twin !== undefined) {
    await rm(folder, { recursive: true, force: true });
    const blockers = [twinReason(facts.steps, twin)];
    return { ...facts, name: plan.name, path: undefined, sha256: undefined, bytes: undefined, files: [], blockers };
  }
  if (facts.files.length === 0) return undefined;
  made.set(effect, plan.name);
  return { ...facts, name: plan.name, path: join(folder, 'model.onnx'), sha256, bytes, blockers: [] };
}

/** Base is a copy of what is there already. */
async function keep(plan: VariantPlan, built: Built, effect: string, options: BuildOptions): Promise<void> {
  if (plan.steps.length === 0) return;
  const { name: _, path: __, blockers: ___, ...facts } = built;
  await options.cache?.keep(plan.steps, { ...facts, effect }, join(options.folder, plan.name));
}

async function totalBytes(path: string, files: Built['files']): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += (await stat(join(dirname(path), file.name))).size;
  return bytes;
}

function nothing(plan: VariantPlan, at: Prefix): Built {
  const stats = modelStats(at.model);
  return {
    name: plan.name,
    steps: at.steps,
    path: undefined,
    sha256: undefined,
    bytes: undefined,
    files: [],
    nodes: stats.nodes,
    ops: Object.fromEntries(stats.ops),
    blockers: [],
  };
}
