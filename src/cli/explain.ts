import { UserError } from '../errors.ts';
import type { Model } from '../ir/graph.ts';
import { nearest } from '../messages.ts';
import { runSteps, type StepTrace } from '../pass/pipeline.ts';
import type { Session } from './command.ts';
import { resolveModel } from './model-source.ts';
import { createContext } from './pass-context.ts';
import { findPass, parseStep } from './steps.ts';

interface ExplainFlags {
  readonly seed: number;
  readonly data?: string;
  readonly allowModules?: boolean;
  readonly after?: readonly string[];
}

/** The work of `mlpack explain`: one pass on a copy in memory, its trace, filtered. */
export async function explain(
  modelText: string,
  stepText: string,
  filter: string | undefined,
  flags: ExplainFlags,
  session: Session,
): Promise<number> {
  const { talk } = session;
  const passId = stepText.split(':')[0] ?? '';
  findPass(passId);
  const { loadModel } = await import('../onnx/load.ts');
  const source = await resolveModel(modelText, session);
  const model = await loadModel(source.file);
  const context = { ...(await createContext(source, flags, session)), explain: true };
  // All in one run: what steps before have lost, a search has no longer to spend.
  const steps = [...(flags.after ?? []), stepText].flatMap(parseStep);
  let wanted: readonly string[] | undefined;
  const traces = await runSteps(model, steps, {
    context,
    onStep(step, index) {
      talk.progress(step.pass.id);
      if (index === steps.length - 1 && filter !== undefined) wanted = describeFilter(model, passId, filter);
    },
  });
  const trace = traces.at(-1);
  if (!trace) return 0;
  const matches = (entry: { rule: string; node: string }): boolean =>
    wanted === undefined ||
    entry.rule === filter ||
    wanted.some((label) => entry.node === label || entry.node.includes(`"${label}"`));
  const applied = trace.applications.filter(matches);
  const skipped = trace.skipped.filter(matches);
  if (session.json) talk.json({ pass: passId, filter: filter ?? null, changed: trace.changed, applied, skipped });
  else print(trace, applied, skipped, filter, session);
  return 0;
}

/** Labels under which a node can stand in a trace. @throws UserError when nothing in the model is called so. */
function describeFilter(model: Model, passId: string, filter: string): string[] {
  const rules = Object.keys(findPass(passId).rules);
  if (rules.includes(filter)) return [];
  const labels = new Set<string>();
  const names = new Set<string>();
  for (const graph of model.graphs()) {
    for (const node of graph.nodes) {
      const own = [node.name, node.op, ...node.outputs.map((value) => value?.name ?? '')];
      for (const name of own) if (name) names.add(name);
      if (own.includes(filter)) {
        labels.add(node.toString());
        for (const name of [node.name, ...node.outputs.map((value) => value?.name ?? '')]) if (name) labels.add(name);
      }
    }
  }
  if (labels.size > 0) return [...labels];
  throw new UserError(
    'explain.node',
    `the model has no node, output or operator "${filter}", and ${passId} no such rule${nearest(filter, [...rules, ...names])}.`,
  );
}

function print(
  trace: StepTrace,
  applied: StepTrace['applications'],
  skipped: StepTrace['skipped'],
  filter: string | undefined,
  { talk }: Session,
): void {
  const { style } = talk;
  for (const { rule, node, detail } of applied)
    talk.out(`${style.green('✔')} ${rule}  ${node}${detail ? `  ${style.dim(detail)}` : ''}`);
  for (const { rule, node, why } of skipped) talk.out(`${style.yellow('–')} ${rule}  ${node}\n    ${why}`);
  if (applied.length + skipped.length > 0) return;
  talk.out(
    filter === undefined
      ? `${trace.pass} found nothing to do in this model, and no rule came near to firing.`
      : `no rule of ${trace.pass} came near "${filter}".`,
  );
}
