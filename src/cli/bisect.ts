/** Which rule breaks a promise: the steps one by one, then the rules of the step by halving. */
import { cloneModel } from '../ir/clone.ts';
import type { Model } from '../ir/graph.ts';
import type { PassContext, Step } from '../pass/pass.ts';
import { runSteps, type StepTrace } from '../pass/pipeline.ts';
import { verifyNumerics } from './verify.ts';

type Context = Omit<PassContext, 'applied' | 'skipped'>;

/**
 * @param base the model before the steps; it is left as it is.
 * @returns a sentence that names the first step, and where the pass can leave rules out the first rule, with which the promise no
 * longer holds; undefined where every beginning of the steps keeps it.
 */
export async function firstBreaking(
  base: Model,
  steps: readonly Step[],
  seed: number,
  context: Context,
  progress: (what: string) => void = () => undefined,
): Promise<string | undefined> {
  const attempt = async (tried: readonly Step[]): Promise<{ ok: boolean; traces: StepTrace[] }> => {
    context.signal.throwIfAborted();
    const model = cloneModel(base);
    const traces = await runSteps(model, tried, { context });
    const { ok } = await verifyNumerics(base, model, tried, seed, context.signal);
    return { ok, traces };
  };
  for (const [index, step] of steps.entries()) {
    const before = steps.slice(0, index);
    progress(`verify up to ${step.pass.id}`);
    const { ok, traces } = await attempt([...before, step]);
    if (ok) continue;
    const named = `step ${index + 1}, ${step.pass.id}`;
    const applications = traces.at(-1)?.applications ?? [];
    const fired = [...new Set(applications.map(({ rule }) => rule))];
    if (step.pass.options['skip']?.type !== 'list' || fired.length === 0) return `It breaks in ${named}`;
    const asked = (step.options['skip'] ?? []) as readonly string[];
    const only = async (count: number): Promise<boolean> => {
      const left = Object.keys(step.pass.rules).filter((rule) => !fired.slice(0, count).includes(rule));
      progress(`verify ${step.pass.id} with ${count} of ${fired.length} rules`);
      const some: Step = { pass: step.pass, options: { ...step.options, skip: [...new Set([...asked, ...left])] } };
      return (await attempt([...before, some])).ok;
    };
    // The smallest number of rules, in the order in which they first fired, that breaks it. All of them do, none does not.
    let [good, bad] = [0, fired.length];
    while (bad - good > 1) {
      const middle = Math.floor((good + bad) / 2);
      if (await only(middle)) good = middle;
      else bad = middle;
    }
    const rule = fired[bad - 1] ?? '';
    const first = applications.find((application) => application.rule === rule);
    const without = { pass: step.pass, options: { ...step.options, skip: [...asked, rule] } };
    const holds = (await attempt([...before, without])).ok;
    return (
      `The first rule that breaks it is ${rule} of ${named}${first ? ` (first at ${first.node})` : ''}; without it ` +
      `(${step.pass.id}:skip=${rule}) the promise ${holds ? 'holds' : 'is broken by others too'}`
    );
  }
  return undefined;
}
