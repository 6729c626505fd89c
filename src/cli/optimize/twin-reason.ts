import type { StepTrace } from '../../pass/pipeline.ts';

/** Rules under which passes say why the whole model stays as it is. */
const ofWholeModel: ReadonlySet<string> = new Set(['search', 'quantize-static', 'mixed-precision', 'nothing']);

/** What it says without the figures of single nodes. */
const kindOf = (why: string): string => why.replace(/\d+(\.\d+)?|"[^"]*"/g, '#');

/**
 * `quantize-dynamic changed nothing, the file would equal fp32: ` and the reason of the whole model, else the one that most nodes had, with the first of
 * them by name: what is true of one layer ("11 µs in float") would be read as said of the model. Of the steps the last one that changed nothing: those
 * that did make the twin too, and one that gives no reason had nothing to do (quantize-dynamic --if-float behind quantize-static).
 */
export function twinReason(steps: readonly StepTrace[], twin: string): string {
  const idle = steps.filter(({ changed }) => !changed);
  const last = idle.findLast(({ skipped }) => skipped.length > 0) ?? idle.at(-1);
  if (!last) return `the same as ${twin}`;
  const whole = last.skipped.filter(({ node, rule }) => node === 'model' && ofWholeModel.has(rule)).at(-1);
  const kinds = new Map<string, { readonly node: string; readonly why: string; count: number }>();
  for (const { node, why } of last.skipped) {
    const kind = kinds.get(kindOf(why));
    if (kind) kind.count++;
    else kinds.set(kindOf(why), { node, why, count: 1 });
  }
  // Of equally many the one that says more than that something is small.
  const isSmall = (why: string): number => Number(why.includes('--min-elements'));
  const [most] = [...kinds.values()].sort((x, y) => y.count - x.count || isSmall(x.why) - isSmall(y.why));
  const why = whole?.why ?? (most && ofNodes(most));
  return `${last.pass} changed nothing, the file would equal ${twin}${why === undefined ? '' : `: ${why}`}`;
}

function ofNodes({
  node,
  why,
  count,
}: {
  readonly node: string;
  readonly why: string;
  readonly count: number;
}): string {
  if (node === 'model') return why;
  return `${node}${count > 1 ? ` and ${count - 1} more` : ''}: ${why}`;
}
