import type { Pass, Step } from '../pass/pass.ts';
import { makeStep } from '../pass/resolve-options.ts';
import { listPasses, loadListed } from './pass-list.ts';
import { splitStep } from './split-step.ts';

/**
 * The pass alone, where the build's list says in which file it is: all passes together take a quarter of a second to load, more than
 * most of them run.
 * @throws UserError when there is none of that name.
 */
export async function loadPass(id: string): Promise<Pass> {
  const { passes } = await listPasses();
  const known = passes.find((pass) => pass.id === id);
  const alone = known && (await loadListed(known));
  if (alone) return alone;
  const { findPass } = await import('./steps.ts');
  return findPass(id);
}

/** As `parseStep`, loading no more than the step needs. */
export async function loadStep(text: string): Promise<Step[]> {
  const { name, given } = splitStep(text);
  const { passes } = await listPasses();
  if (passes.some(({ id }) => id === name)) return [makeStep(await loadPass(name), given)];
  const { parseStep } = await import('./steps.ts');
  return parseStep(text);
}
