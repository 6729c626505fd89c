import { mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { UserError } from '../../errors.ts';
import { cloneModel } from '../../ir/clone.ts';
import type { Model } from '../../ir/graph.ts';
import { modelStats } from '../../ir/stats.ts';
import { saveModel } from '../../onnx/save.ts';
import type { PassContext, Step } from '../../pass/pass.ts';
import { runSteps, type StepTrace } from '../../pass/pipeline.ts';
import type { VariantPlan } from './variants.ts';

/** A variant as a file, before anything is measured. */
export interface Built {
  readonly name: string;
  readonly steps: readonly StepTrace[];
  /** Absolute; undefined when it could not be built or would be a copy of another. */
  readonly path: string | undefined;
  readonly sha256: string | undefined;
  readonly bytes: number | undefined;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  readonly nodes: number;
  readonly ops: Readonly<Record<string, number>>;
  readonly blockers: readonly string[];
}

export interface BuildOptions {
  readonly folder: string;
  readonly context: Omit<PassContext, 'applied' | 'skipped'>;
  readonly onStep: (variant: string, step: Step) => void;
  readonly warn: (text: string) => void;
}

interface Prefix {
  readonly model: Model;
  readonly steps: readonly StepTrace[];
  /** The steps that changed something: two variants with the same ones are the same file. */
  readonly effect: string;
}

/**
 * Builds all variants. Plans are walked as a tree: steps that several variants begin with run once. Memory holds one
 * model structure for each open prefix; weights are shared between them.
 */
export async function buildVariants(
  base: Model,
  plans: readonly VariantPlan[],
  options: BuildOptions,
): Promise<Built[]> {
  const prefixes = new Map<string, Prefix>([['', { model: base, steps: [], effect: '' }]]);
  const built: Built[] = [];
  const made = new Map<string, string>();
  for (const plan of plans) built.push(await buildOne(plan, prefixes, made, options));
  return built;
}

async function buildOne(
  plan: VariantPlan,
  prefixes: Map<string, Prefix>,
  made: Map<string, string>,
  options: BuildOptions,
): Promise<Built> {
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
      const model = cloneModel(at.model);
      const traces = await runSteps(model, [step], {
        context: options.context,
        onStep: () => options.onStep(plan.name, step),
      });
      const changed = traces.some((trace) => trace.changed);
      at = { model, steps: [...at.steps, ...traces], effect: changed ? at.effect + own : at.effect };
      prefixes.set(key, at);
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
  if (twin !== undefined) return { ...nothing(plan, at), blockers: [twinReason(at.steps.at(-1), twin)] };
  made.set(at.effect, plan.name);
  const path = join(options.folder, plan.name, 'model.onnx');
  await mkdir(dirname(path), { recursive: true });
  const saved = await saveModel(at.model, path, {});
  return {
    ...nothing(plan, at),
    path,
    sha256: saved.sha256,
    bytes: await totalBytes(path, saved.files),
    files: saved.files,
  };
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

/** `quantize-dynamic changed nothing (the file would equal fp32): ` and the reason that most nodes had. */
function twinReason(last: StepTrace | undefined, twin: string): string {
  if (!last) return `the same as ${twin}`;
  const counts = new Map<string, number>();
  for (const { why } of last.skipped) counts.set(why, (counts.get(why) ?? 0) + 1);
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return `${last.pass} changed nothing, the file would equal ${twin}${most ? `: ${most[0]}` : ''}`;
}
