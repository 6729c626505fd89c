import { describe, expect, test } from 'vitest';
import {
  type Assignment,
  cheapest,
  type SearchItem,
  search,
  upgrades,
  type Verdict,
} from '../../../../passes/quantize/mixed/search.ts';
import { randomNumbers } from '../../../../src/kernels/random.ts';

const item = (id: string, noise: number, cost = 1): SearchItem => ({
  id,
  label: id,
  choices: [
    { format: 'int8', cost: cost / 4, noise },
    { format: 'fp32', cost, noise: 0 },
  ],
});

const noiseOf = (items: readonly SearchItem[], assignment: Assignment): number =>
  items.reduce(
    (sum, { id, choices }) => sum + (choices.find(({ format }) => format === assignment.get(id))?.noise ?? 0),
    0,
  );

/** Accepts while the noise stays below a budget; counts how often it was asked. */
function budgetJudge(items: readonly SearchItem[], budget: number) {
  const asked: Assignment[] = [];
  return {
    asked,
    judge: async (assignment: Assignment): Promise<Verdict> => {
      asked.push(assignment);
      const noise = noiseOf(items, assignment);
      return { ok: noise <= budget, words: `noise ${noise}` };
    },
  };
}

const silent = { tried: () => undefined, moved: () => undefined };
const formats = (assignment: Assignment): string => [...assignment].map(([id, format]) => `${id}:${format}`).join(' ');

describe('the order of steps', () => {
  test('most noise taken away for what it costs comes first; dominated choices are never taken', () => {
    const items: SearchItem[] = [
      {
        id: 'a',
        label: 'a',
        choices: [
          { format: 'int4', cost: 1, noise: 9 },
          { format: 'int8', cost: 2, noise: 1 },
          { format: 'worse', cost: 2.5, noise: 5 },
          { format: 'fp32', cost: 8, noise: 0 },
        ],
      },
      item('b', 3, 2),
    ];
    expect(formats(new Map([...cheapest(items)].map(([id, { format }]) => [id, format])))).toBe('a:int4 b:int8');
    expect(upgrades(items).map(({ id, to }) => `${id}:${to.format}`)).toEqual(['a:int8', 'b:fp32', 'a:fp32']);
  });

  test('a format that helps little for its cost is skipped on the way to a better one', () => {
    const items: SearchItem[] = [
      {
        id: 'a',
        label: 'a',
        choices: [
          { format: 'int4', cost: 1, noise: 10 },
          { format: 'half', cost: 4, noise: 9.5 },
          { format: 'fp32', cost: 5, noise: 0 },
        ],
      },
    ];
    expect(upgrades(items).map(({ to }) => to.format)).toEqual(['fp32']);
  });
});

describe('search', () => {
  const items = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((id, at) => item(id, 2 ** -at));

  test('nothing moves when the cheapest assignment is good enough: one trial', async () => {
    const { asked, judge } = budgetJudge(items, 10);
    const result = await search(items, judge, { mostTrials: 20 }, silent);
    expect(new Set(result.assignment.values())).toEqual(new Set(['int8']));
    expect(asked).toHaveLength(1);
  });

  test('the fewest noisy layers go to float, and no more', async () => {
    const { judge } = budgetJudge(items, 0.3);
    const result = await search(items, judge, { mostTrials: 20 }, silent);
    expect(result.verdict.ok).toBe(true);
    expect(formats(result.assignment)).toBe('a:fp32 b:fp32 c:fp32 d:int8 e:int8 f:int8 g:int8 h:int8');
  });

  test('a floor that nothing but float keeps ends in float', async () => {
    const { judge } = budgetJudge(items, 0);
    const result = await search(items, judge, { mostTrials: 40 }, silent);
    expect(result.verdict.ok).toBe(true);
    expect(new Set(result.assignment.values())).toEqual(new Set(['fp32']));
  });

  test('what was moved in vain is restored, the dearest first', async () => {
    // The estimates mislead: only c matters, though a and b look worse.
    const misleading = [item('a', 8, 4), item('b', 4, 2), item('c', 1, 1), item('d', 0.1, 1)];
    const moves: string[] = [];
    const judge = async (assignment: Assignment): Promise<Verdict> => ({
      ok: assignment.get('c') === 'fp32',
      words: '',
    });
    const result = await search(
      misleading,
      judge,
      { mostTrials: 20 },
      {
        tried: () => undefined,
        moved: ({ id }, from, to) => moves.push(`${id} ${from}→${to}`),
      },
    );
    expect(formats(result.assignment)).toBe('a:int8 b:int8 c:fp32 d:int8');
    expect(moves.slice(-2)).toEqual(['a fp32→int8', 'b fp32→int8']);
  });

  test('a layer that went two steps comes back by both', async () => {
    // What a costs in float alone is least, so that its first step back is looked at before its second.
    const two: SearchItem = {
      id: 'a',
      label: 'a',
      choices: [
        { format: 'int4', cost: 1, noise: 100 },
        { format: 'int8', cost: 4, noise: 10 },
        { format: 'fp32', cost: 5, noise: 0 },
      ],
    };
    const misleading = [two, item('b', 0.1, 1)];
    const judge = async (assignment: Assignment): Promise<Verdict> => ({
      ok: assignment.get('b') === 'fp32',
      words: '',
    });
    const result = await search(misleading, judge, { mostTrials: 20 }, silent);
    expect(formats(result.reverted)).toBe('a:fp32 b:fp32');
    expect(formats(result.assignment)).toBe('a:int4 b:fp32');
    expect(result.untried).toBe(0);
  });

  test('what comes out costs no more than before anything was restored, and both were accepted', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = randomNumbers(seed);
      const drawn = Array.from({ length: 12 }, (_, at): SearchItem => {
        const [noise, cost] = [random() * 4, random() + 0.1];
        return {
          id: `l${at}`,
          label: `l${at}`,
          choices: [
            { format: 'int4', cost: cost / 8, noise },
            { format: 'int8', cost: cost / 4, noise: noise * random() },
            { format: 'fp32', cost, noise: 0 },
          ],
        };
      });
      // The judge's own noise of each layer is another than what was estimated.
      const factor = new Map(drawn.map(({ id }) => [id, 2 * random()]));
      const truth = (assignment: Assignment): number =>
        drawn.reduce((sum, one) => sum + (factor.get(one.id) ?? 0) * noiseOf([one], assignment), 0);
      const costOf = (assignment: Assignment): number =>
        drawn.reduce(
          (sum, { id, choices }) => sum + (choices.find(({ format }) => format === assignment.get(id))?.cost ?? 0),
          0,
        );
      const judge = async (assignment: Assignment): Promise<Verdict> => ({ ok: truth(assignment) <= 3, words: '' });
      const result = await search(drawn, judge, { mostTrials: 24 }, silent);
      expect([seed, truth(result.assignment) <= 3, truth(result.reverted) <= 3]).toEqual([seed, true, true]);
      expect(costOf(result.assignment)).toBeLessThanOrEqual(costOf(result.reverted) + 1e-12);
      if (result.untried > 0) expect(result.trials).toBeGreaterThanOrEqual(24);
    }
  });

  test('the number of trials is bounded, and what comes out was accepted', async () => {
    const many = Array.from({ length: 200 }, (_, at) => item(`layer${at}`, 1 + (at % 7)));
    const { asked, judge } = budgetJudge(many, 30);
    const result = await search(many, judge, { mostTrials: 12 }, silent);
    expect(asked.length).toBeLessThanOrEqual(13);
    expect(result.verdict.ok).toBe(true);
    expect(noiseOf(many, result.assignment)).toBeLessThanOrEqual(30);
  });
});
