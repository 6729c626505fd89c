import { expect, test } from 'vitest';
import { writeOwnText } from '../../src/engine/own-text.ts';
import type { Model } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { typedArray } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';

/** Each token is followed by the one whose row of `next` it has; `mixed` says what else goes into the logits. */
function model(mixed: string, ids = 'int64[B,S] ids'): Model {
  const made = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (${ids}, int64[B,S] attention_mask) => (float[B,S,5] logits)
<
  float[5,5] next = {0, 90, 0, 0, 0,  0, 0, 90, 0, 0,  0, 0, 0, 90, 0,  0, 0, 0, 0, 90,  90, 0, 0, 0, 0}
>
{
  rows = Gather (next, ${/\w+$/.exec(ids)?.[0]})
  ${mixed}
}`);
  inferShapes(made);
  return made;
}

test('a causal model writes what it would say next, the same for the same seed', async () => {
  const causal = model('logits = Identity (rows)');
  const text = await writeOwnText(causal, { seed: 1 });
  if (typeof text === 'string') throw new Error(text);
  expect([text.texts, text.tokens]).toEqual([32, 2048]);
  const first = text.batches[0]?.feeds;
  const tokens = [...typedArray(first?.get('ids') ?? expect.fail(), 'int64')].map(Number);
  for (let at = 0; at + 1 < tokens.length; at++)
    if ((at + 1) % 64 !== 0) expect(tokens[at + 1]).toBe(((tokens[at] ?? 0) + 1) % 5);
  expect(first?.get('attention_mask')?.shape).toEqual([8, 64]);
  expect(await writeOwnText(causal, { seed: 1 })).toEqual(text);
});

test.each([
  [
    'it looks at tokens that come later',
    model('all = ReduceMean <axes = [1], keepdims = 1> (rows)\n  logits = Add (rows, all)'),
  ],
  ['its length is fixed to 12 tokens', model('logits = Identity (rows)', 'int64[B,12] ids')],
  ['its batch is fixed to 4', model('logits = Identity (rows)', 'int64[4,S] ids')],
  ['it takes no token ids', model('logits = Identity (rows)', 'int64[B,S] position_ids')],
])('says why a model writes none: %s', async (why, none) => {
  expect(await writeOwnText(none, { seed: 0 })).toBe(why);
});
