/** What one layer can be in: what it costs and what it does to the outputs. */
export interface Choice {
  readonly format: string;
  /** In shares of the whole model's time and bytes. */
  readonly cost: number;
  /** Noise at the outputs, relative; adds up over layers. */
  readonly noise: number;
}

export interface SearchItem {
  readonly id: string;
  /** What sentences call it. */
  readonly label: string;
  /** The exact one (noise 0) among them. */
  readonly choices: readonly Choice[];
}

/** Format of each layer by its id. */
export type Assignment = ReadonlyMap<string, string>;

export interface Verdict {
  readonly ok: boolean;
  /** How much better than needed; for the reasoning. */
  readonly words: string;
}

export interface SearchEvents {
  /** Each trial, in a sentence. */
  tried(what: string, verdict: Verdict): void;
  moved(item: Pick<SearchItem, 'id' | 'label'>, from: string, to: string, why: string): void;
}

export interface SearchOptions {
  /** Trials in all, at most: each one builds and runs a model. */
  readonly mostTrials: number;
}

export interface SearchResult {
  readonly assignment: Assignment;
  readonly verdict: Verdict;
  readonly trials: number;
  /** Before anything was restored: dearer, and accepted with more to spare. */
  readonly reverted: Assignment;
  /** Steps that might have been taken back and were not tried, since trials were over. */
  readonly untried: number;
}

/** One step from the cheapest assignment towards the exact one. */
export interface Upgrade {
  readonly id: string;
  readonly label: string;
  readonly from: Choice;
  readonly to: Choice;
}

/** The cheapest choice of each layer. */
export function cheapest(items: readonly SearchItem[]): Map<string, Choice> {
  return new Map(
    items.flatMap((item) => {
      const [first] = hull(item.choices);
      return first ? [[item.id, first] as const] : [];
    }),
  );
}

/**
 * Steps in the order in which they pay: most noise taken away for what is added to the cost first. After all of them every layer is exact.
 * Within a layer the ratio falls from step to step, so the order never asks for a second step before the first.
 */
export function upgrades(items: readonly SearchItem[]): Upgrade[] {
  const steps: (Upgrade & { readonly ratio: number })[] = [];
  for (const { id, label, choices } of items) {
    const kept = hull(choices);
    for (const [at, to] of kept.entries()) {
      const from = kept[at - 1];
      if (from) steps.push({ id, label, from, to, ratio: ratio(from, to) });
    }
  }
  // Equal ratios keep the order of the layers: the same input gives the same search.
  return steps.sort((a, b) => b.ratio - a.ratio).map(({ ratio: _, ...step }) => step);
}

function ratio(from: Choice, to: Choice): number {
  const added = to.cost - from.cost;
  const taken = from.noise - to.noise;
  return added <= 0 ? Number.POSITIVE_INFINITY : taken / added;
}

/** The choices worth having, cheapest first: each dearer one takes noise away, at a falling rate. */
function hull(choices: readonly Choice[]): Choice[] {
  const sorted = [...choices].sort((a, b) => a.cost - b.cost || a.noise - b.noise);
  const kept: Choice[] = [];
  for (const choice of sorted) {
    const last = kept.at(-1);
    if (last && !(choice.noise < last.noise)) continue;
    while (kept.length >= 2) {
      const [before, top] = kept.slice(-2) as [Choice, Choice];
      if (ratio(before, top) >= ratio(top, choice)) break;
      kept.pop();
    }
    kept.push(choice);
  }
  return kept;
}

/**
 * The cheapest assignment that a judge accepts. First the steps of `upgrades`: twice as many each time until one is accepted, then the
 * fewest by bisection. Then the other way: layers that were moved go back to what they came from, the one that saves most
 * first, where the judge still accepts that: each such step only lowers the cost. The judge alone decides; noise and cost only say what to try.
 * @param judge of whole assignments; it is asked once for each
 */
export async function search(
  items: readonly SearchItem[],
  judge: (assignment: Assignment) => Promise<Verdict>,
  { mostTrials }: SearchOptions,
  events: SearchEvents,
): Promise<SearchResult> {
  const start = cheapest(items);
  const steps = upgrades(items);
  const after = (count: number): Map<string, Choice> => {
    const state = new Map(start);
    for (const { id, to } of steps.slice(0, count)) state.set(id, to);
    return state;
  };
  const known = new Map<string, Verdict>();
  const mayTry = (): boolean => known.size < mostTrials;
  const ask = async (state: ReadonlyMap<string, Choice>, what: string): Promise<Verdict> => {
    const assignment = formatsOf(state);
    const key = JSON.stringify([...assignment]);
    const before = known.get(key);
    if (before) return before;
    const verdict = await judge(assignment);
    known.set(key, verdict);
    events.tried(what, verdict);
    return verdict;
  };
  const words = (count: number): string =>
    count === 0 ? 'every layer in its cheapest format' : `${count} of ${steps.length} steps towards float`;

  const first = await ask(start, words(0));
  if (first.ok || steps.length === 0) {
    const assignment = formatsOf(start);
    return { assignment, verdict: first, trials: known.size, reverted: assignment, untried: 0 };
  }
  let bad = 0;
  let good = steps.length;
  let verdict: Verdict | undefined;
  for (let count = 1; count < steps.length && mayTry(); count *= 2) {
    const found = await ask(after(count), words(count));
    if (found.ok) {
      good = count;
      verdict = found;
      break;
    }
    bad = count;
  }
  while (good - bad > 1 && mayTry()) {
    const middle = Math.floor((bad + good) / 2);
    const found = await ask(after(middle), words(middle));
    if (found.ok) {
      good = middle;
      verdict = found;
    } else bad = middle;
  }
  const state = after(good);
  verdict ??= await ask(state, words(good));
  for (const { id, label, from, to } of steps.slice(0, good))
    events.moved(
      { id, label },
      from.format,
      to.format,
      `takes away ${share(from.noise - to.noise, start)} of the noise`,
    );

  // The last step was needed with all before it, not the others with each other.
  const restorable = steps.slice(0, good - 1).sort((a, b) => saving(b) - saving(a));
  const reverted = formatsOf(state);
  // A layer that went two steps can come back by the first only once the second is taken back.
  const next = (): number => restorable.findIndex(({ id, to }) => state.get(id) === to);
  for (let at = next(); at >= 0 && mayTry(); at = next()) {
    const [step] = restorable.splice(at, 1);
    if (!step) break;
    const { id, label, from, to } = step;
    const found = await ask(new Map(state).set(id, from), `${label} back to ${from.format}`);
    if (!found.ok) continue;
    state.set(id, from);
    verdict = found;
    events.moved({ id, label }, to.format, from.format, 'the floor holds without it');
  }
  const untried = restorable.filter(({ id, to }) => state.get(id) === to).length;
  return { assignment: formatsOf(state), verdict, trials: known.size, reverted, untried };
}

const saving = ({ from, to }: Upgrade): number => to.cost - from.cost;

const formatsOf = (state: ReadonlyMap<string, Choice>): Map<string, string> =>
  new Map([...state].map(([id, { format }]) => [id, format]));

function share(noise: number, start: ReadonlyMap<string, Choice>): string {
  const total = [...start.values()].reduce((sum, choice) => sum + choice.noise, 0);
  return total > 0 ? `${((100 * noise) / total).toFixed(0)} %` : 'none';
}
