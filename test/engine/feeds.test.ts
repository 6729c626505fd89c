import { describe, expect, test } from 'vitest';
import { comparedConstants, indexedExtents } from '../../src/engine/feed-bounds.ts';
import { firstGuess, fixShapes, sizeDims } from '../../src/engine/feed-shapes.ts';
import { randomFeeds, syntheticFeeds } from '../../src/engine/feeds.ts';
import { openModel } from '../../src/engine/open-model.ts';
import { openSession } from '../../src/engine/session.ts';
import type { DType } from '../../src/ir/dtype.ts';
import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { int64Vector, tensorFrom, tensorOf, toNumbers } from '../../src/ir/tensor.ts';
import { parseModel } from '../../src/ir/text/parse.ts';
import { type Dim, tensorType } from '../../src/ir/types.ts';
import { loadModel } from '../../src/onnx/load.ts';
import { haveSharedModels, sharedModel, sharedModelFiles } from '../support/shared-models.ts';

function modelOf(
  inputs: Record<string, [DType, Dim[] | undefined]>,
  body?: (values: Record<string, Value>, graph: Graph) => void,
): Model {
  const graph = new Graph('g');
  const values: Record<string, Value> = {};
  for (const [name, [dtype, shape]] of Object.entries(inputs))
    values[name] = graph.addInput(name, tensorType(dtype, shape));
  body?.(values, graph);
  return new Model(graph, 17, 8);
}

function shapesOf(model: Model, overrides = {}): Record<string, number[]> {
  return Object.fromEntries(fixShapes(model, overrides, firstGuess));
}

test('open axes get the extents that the first weights ask for', () => {
  const model = modelOf(
    { x: ['float32', ['i', 'j', 'p', 'q']], z: ['float32', ['n', undefined, 'F']], s: ['float32', ['T', 'U', 'V']] },
    ({ x, z, s }, graph) => {
      const weight = (name: string, shape: number[]): Value =>
        graph.addInitializer(name, tensorFrom('float32', shape, new Float32Array(shape.reduce((a, b) => a * b, 1))));
      const relu = graph.append('Relu', { inputs: [x] }).output();
      graph.append('Conv', { inputs: [relu, weight('kernel', [8, 5, 3, 3])], attrs: { group: 2 } });
      const scaled = graph.append('Mul', { inputs: [weight('scale', [6]), z] }).output();
      const turned = graph.append('Transpose', { inputs: [scaled], attrs: { perm: [0, 2, 1] } }).output();
      graph.append('MatMul', { inputs: [turned, weight('right', [9, 4])] });
      graph.append('LSTM', {
        inputs: [s, weight('w', [1, 12, 7]), weight('r', [1, 12, 3])],
        attrs: { hidden_size: 3 },
      });
    },
  );
  expect(shapesOf(model)).toEqual({ x: [1, 10, 224, 224], z: [1, 9, 6], s: [16, 16, 7] });
  // What the caller says comes first.
  expect(shapesOf(model, { dims: { F: 8 } }).z).toEqual([1, 9, 8]);
});

test('a model traced with one extent of an axis that it declares dynamic gets that extent', async () => {
  const model = parseModel(`<ir_version: 8, opset_import: ["" : 13]>
g (float[b,s,4] x, float[b,t,2] z) => (float[n,7,2] y, float[m,5,2] w)
<
  int64[1] seven = {7},
  int64[1] five = {5},
  int64[1] two = {2},
  int64[1] all = {-1}
>
{
  shape = Concat <axis = 0> (all, seven, two)
  y = Reshape (x, shape)
  other = Concat <axis = 0> (all, five, two)
  w = Reshape (z, other)
}`);
  const session = await openModel(model, { graphOptimizationLevel: 'disabled' });
  const [batch] = await syntheticFeeds(model, session, { seed: 1 });
  expect([...(batch?.feeds.values() ?? [])].map((tensor) => tensor.shape)).toEqual([
    [1, 7, 4],
    [1, 5, 2],
  ]);
  await session.dispose();
});

describe('shapes of made-up inputs', () => {
  test('symbols get extents by their names, the same everywhere', () => {
    const model = modelOf({
      input_ids: ['int64', ['batch', 'sequence_length']],
      attention_mask: ['int64', ['batch', 'past_sequence_length + sequence_length']],
      'past.0.key': ['float32', ['batch', 4, 'past_sequence_length', 8]],
      pixels: ['float32', ['N', 3, 'height', 'width']],
    });
    expect(shapesOf(model)).toEqual({
      input_ids: [1, 16],
      attention_mask: [1, 16],
      'past.0.key': [1, 4, 0, 8],
      pixels: [1, 3, 224, 224],
    });
  });

  test('a past of the encoder is as long as its mask or its states, and never empty', () => {
    const past = (encoder: Dim): Record<string, [DType, Dim[]]> => ({
      'past_key_values.0.decoder.key': ['float32', ['batch', 4, 'past_decoder_sequence', 8]],
      'past_key_values.0.encoder.key': ['float32', ['batch', 4, encoder, 8]],
      decoder_attention_mask: ['int64', ['batch', 'past_decoder_sequence + sequence']],
    });
    const lengths = (inputs: Record<string, [DType, Dim[]]>, dims = {}): unknown[] => {
      const shapes = shapesOf(modelOf(inputs), { dims });
      return ['decoder', 'encoder'].map((part) => shapes[`past_key_values.0.${part}.key`]?.[2]);
    };
    const mask: Record<string, [DType, Dim[]]> = { encoder_attention_mask: ['int64', ['batch', 'encoder_sequence']] };
    for (const encoder of ['past_encoder_sequence', 'encoder_sequence_length_out', undefined]) {
      expect(lengths(past(encoder))).toEqual([0, 16]);
      expect(lengths({ ...past(encoder), ...mask }, { encoder_sequence: 9 })).toEqual([0, 9]);
      expect(lengths({ ...past(encoder), encoder_hidden_states: ['float32', ['batch', 50, 32]] })).toEqual([0, 50]);
    }
    expect(lengths(past('past_encoder_sequence'), { past_encoder_sequence: 5 })).toEqual([0, 5]);
    const whisper: Record<string, [DType, Dim[]]> = { past_key_cross_0: ['float32', ['batch', 4, 'past_cross', 8]] };
    expect(shapesOf(modelOf(whisper))).toEqual({ past_key_cross_0: [1, 4, 16, 8] });
  });

  test('overrides by symbol and by input reach every input', () => {
    const model = modelOf({ a: ['float32', ['n', 'k']], b: ['float32', ['k', 'n*2']] });
    expect(shapesOf(model, { dims: { n: 3, k: 5 } })).toEqual({ a: [3, 5], b: [5, 6] });
    expect(shapesOf(model, { shapes: new Map([['a', [2, 7]]]) })).toEqual({ a: [2, 7], b: [7, 4] });
  });

  test('names that say nothing of a dimension stand for no common extent', () => {
    const model = modelOf({
      picture: ['float32', [1, 3, '?', '?']],
      sizes: ['float32', ['?', 2]],
      image: ['float32', ['None', 'None', 'None', 3]],
    });
    const shapes = new Map([['picture', [1, 3, 48, 64]]]);
    expect(shapesOf(model, { shapes })).toEqual({ picture: [1, 3, 48, 64], sizes: [1, 2], image: [1, 3, 224, 3] });
    // Who names such a name means all that have it.
    expect(shapesOf(model, { dims: { None: 5 } }).image).toEqual([5, 5, 5, 3]);
  });

  test('a first axis without a name is the batch where no symbol is', () => {
    const table = modelOf({ x: ['float32', [undefined, 8]], z: ['float32', ['?', 2]] });
    expect(shapesOf(table, sizeDims(table, { batch: 4 }))).toEqual({ x: [4, 8], z: [4, 2] });
    const named = modelOf({ x: ['float32', ['batch', 8]], z: ['float32', [undefined, 2]] });
    expect(shapesOf(named, sizeDims(named, { batch: 4 }))).toEqual({ x: [4, 8], z: [1, 2] });
    const fixed = modelOf({ x: ['float32', [1, 3, '?', '?']] });
    expect(() => sizeDims(fixed, { batch: 4 })).toThrow("the model's batch is fixed (x [1, 3, ?, ?])");
  });

  test('overrides that do not fit are refused', () => {
    const model = modelOf({ image: ['float32', ['n', 3, 8, 8]] });
    expect(() => shapesOf(model, { shapes: new Map([['image', [1, 4, 8, 8]]]) })).toThrow(
      '"image" is of shape [n, 3, 8, 8]; [1, 4, 8, 8] does not fit it',
    );
    expect(() => shapesOf(model, { shapes: new Map([['imag', [1]]]) })).toThrow(
      'no input "imag" (did you mean "image"?)',
    );
    expect(() => shapesOf(model, { dims: { m: 1 } })).toThrow('dimension "m"');
  });
});

describe('numbers of made-up inputs', () => {
  test('token ids stay below the embedding that they index, also behind casts and inside subgraphs', () => {
    const model = modelOf({ ids: ['int64', ['n', 's']] }, ({ ids }, graph) => {
      const table = graph.addInitializer('table', tensorFrom('float32', [7, 2], new Float32Array(14)));
      const cast = graph.append('Cast', { inputs: [ids], attrs: { to: 6 } });
      graph.addOutput(graph.append('Gather', { inputs: [table, cast.output()] }).output());
    });
    const ids = model.graph.inputs[0] as Value;
    expect(indexedExtents(ids)).toEqual([7]);
    const values = toNumbers(randomFeeds(model, { seed: 3, dims: { s: 500 } }).get('ids') ?? int64Vector([]));
    expect(new Set(values)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6]));
  });

  test('a scalar takes the first constant that it is compared with', () => {
    const model = modelOf({ sr: ['int64', []] }, ({ sr }, graph) => {
      for (const rate of [16000, 8000]) {
        const constant = graph.addInitializer(`rate${rate}`, tensorOf('int64', [], [rate]));
        graph.addOutput(graph.append('Equal', { inputs: [sr, constant] }).output());
      }
    });
    expect(comparedConstants(model.graph.inputs[0] as Value)).toEqual([16000, 8000]);
    expect(toNumbers(randomFeeds(model, { seed: 1 }).get('sr') ?? int64Vector([]))).toEqual([16000]);
  });

  test('a Loop goes round, whatever the seed', () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
main (float[4] x, int64[1] steps, bool go) => (float[4] y)
{
  rounds = Squeeze (steps)
  y = Loop (rounds, go, x) <body = b (int64 i, bool on, float[4] v) => (bool on_out, float[4] v_out) {
    on_out = Identity (on)
    v_out = Add (v, v)
  }>
}`);
    for (let seed = 0; seed < 4; seed++)
      expect(toNumbers(randomFeeds(model, { seed }).get('steps') as never)).toEqual([3]);
  });

  test('masks are ones, positions count, segments are zero', () => {
    const model = modelOf({
      attention_mask: ['int64', [1, 4]],
      position_ids: ['int64', [1, 4]],
      token_type_ids: ['int64', [1, 4]],
    });
    const feeds = randomFeeds(model, { seed: 1 });
    const numbers = (name: string): number[] | undefined => toNumbers(feeds.get(name) ?? int64Vector([]));
    expect(numbers('attention_mask')).toEqual([1, 1, 1, 1]);
    expect(numbers('position_ids')).toEqual([0, 1, 2, 3]);
    expect(numbers('token_type_ids')).toEqual([0, 0, 0, 0]);
  });

  test('floats have mean 0 and variance 1, and depend on the seed only', () => {
    const model = modelOf({ x: ['float32', [1, 20000]], image: ['float32', [1, 3, 64, 64]] });
    const a = randomFeeds(model, { seed: 1 });
    const b = randomFeeds(model, { seed: 1 });
    const c = randomFeeds(model, { seed: 2 });
    for (const name of ['x', 'image']) {
      const values = toNumbers(a.get(name) ?? int64Vector([])) ?? [];
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      expect(Math.abs(mean)).toBeLessThan(0.2);
      expect(variance).toBeGreaterThan(0.5);
      expect(variance).toBeLessThan(1.5);
      expect(b.get(name)?.bytes()).toEqual(a.get(name)?.bytes());
      expect(c.get(name)?.bytes()).not.toEqual(a.get(name)?.bytes());
    }
  });

  test('sizes that the signature does not tell are tried out', async () => {
    const model = modelOf({ x: ['float32', ['n', 'm']] }, ({ x }, graph) => {
      const shape = graph.addInitializer('shape', int64Vector([-1, 64]));
      graph.addOutput(
        graph
          .append('Reshape', { inputs: [x, shape], outputs: ['y'], types: [tensorType('float32', ['a', 64])] })
          .output(),
      );
    });
    const session = await openModel(model);
    const [batch] = await syntheticFeeds(model, session, { seed: 1 });
    expect(batch?.feeds.get('x')?.shape).toEqual([1, 64]);
    await session.dispose();
  });

  test('a model that nothing fits asks for shapes', async () => {
    const model = modelOf({ x: ['float32', ['n', 'm']] }, ({ x }, graph) => {
      for (const [name, target] of Object.entries({ r: [7, 11], s: [13] }))
        graph.addOutput(
          graph
            .append('Reshape', {
              name,
              inputs: [x, graph.addInitializer(`${name}_shape`, int64Vector(target))],
              outputs: [`${name}_y`],
              types: [tensorType('float32', target)],
            })
            .output(),
        );
    });
    const session = await openModel(model);
    await expect(syntheticFeeds(model, session, { seed: 1 })).rejects.toThrow(
      /--input-shape x=1x….*node "[rs]" \(Reshape\)/,
    );
    await session.dispose();
  });
});

describe.skipIf(!haveSharedModels)('made-up inputs run on every shared model', () => {
  test.each(sharedModelFiles)('%s %s', async (slug, file) => {
    const path = sharedModel(slug, file);
    const session = await openSession(path);
    try {
      const batches = await syntheticFeeds(await loadModel(path), session, { seed: 1, count: 2 });
      expect(batches).toHaveLength(2);
      for (const { feeds } of batches) {
        for (const output of (await session.run(feeds)).values())
          expect(output.shape.every((dim) => dim > 0)).toBe(true);
      }
    } finally {
      await session.dispose();
    }
  });
});

describe('models that declare axes open but were traced with one extent of them', () => {
  /** Text of 7 tokens, pictures of 20 × 20 in patches of 4, and 11 regions, with numbers of heads and widths all around. */
  const traced = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
clip (int64[texts,tokens] ids, float[n,3,rows,columns] picture, float[n,regions,6] boxes, bool[n,regions] flags) => (float[u,v] y) <
    float[50,8] table = random(1), float[8,3,4,4] patch = random(2), float[6,8] widen = random(3), float[1,11,8] places = random(4),
    int64[3] heads = {7, 2, 4}, int64[3] grid = {1, 8, 25}, int64[2] back = {-1, 8}, int64[1] last = {2}> {
  words = Gather (table, ids)
  split = Reshape (words, heads)
  text = Reshape (split, back)
  conv = Conv <strides = [4, 4]> (picture, patch)
  flat = Reshape (conv, grid)
  turned = Transpose <perm = [0, 2, 1]> (flat)
  image = Reshape (turned, back)
  wide = MatMul (boxes, widen)
  placed = Add (wide, places)
  open = Unsqueeze (flags, last)
  none = Sub (placed, placed)
  kept = Where (open, placed, none)
  region = Reshape (kept, back)
  y = Concat <axis = 0> (text, image, region)
}`);

  test('get the extents that the graph asks for, whatever their number', async () => {
    const session = await openModel(traced, {});
    try {
      const [batch] = await syntheticFeeds(traced, session, { seed: 0 });
      const shapes = [...(batch?.feeds ?? [])].map(([name, { shape }]) => [name, shape]);
      expect(Object.fromEntries(shapes)).toEqual({
        ids: [1, 7],
        picture: [1, 3, 20, 20],
        boxes: [1, 11, 6],
        flags: [1, 11],
      });
    } finally {
      await session.dispose();
    }
  });

  test('a batch that was traced with more than one sample is that many', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[batch,3,8] x) => (float[batch,t,8] y) <int64[4] heads = {4, 3, 2, 4}, int64[3] back = {4, 3, 8}, float[4,1,1] each = random(1)> {
  split = Reshape (x, heads)
  joined = Reshape (split, back)
  y = Mul (joined, each)
}`);
    const session = await openModel(model, {});
    try {
      const [batch] = await syntheticFeeds(model, session, { seed: 0 });
      expect(batch?.feeds.get('x')?.shape).toEqual([4, 3, 8]);
    } finally {
      await session.dispose();
    }
  });

  test('a length that the model ran on goes with all inputs that are made up', async () => {
    const model = parseModel(`<ir_version: 8, opset_import: ["" : 17]>
g (float[n,8] x, int64[1] steps, int64[1] row) => (float[k,8] y, float[1,8] z) <float[50,8] table = random(1), int64[1] zero = {0}, int64[1] three = {3}> {
  small = Sub (three, steps)
  left = Div (three, steps)
  y = Slice (x, zero, left, zero)
  z = Gather (table, row)
}`);
    const session = await openModel(model, {});
    try {
      const batches = await syntheticFeeds(model, session, { seed: 0, count: 12 });
      const numbers = (name: string): string[] => batches.map(({ feeds }) => String(toNumbers(feeds.get(name)!)));
      expect(new Set(numbers('steps')).size).toBe(1);
      expect(new Set(numbers('row')).size).toBeGreaterThan(3);
    } finally {
      await session.dispose();
    }
  });

  test('flags are of both kinds, a switch for the whole model stays off', () => {
    const model = modelOf({ flags: ['bool', ['n', 64]], use_cache: ['bool', [1]], padding_mask: ['bool', ['n', 64]] });
    const feeds = randomFeeds(model, { seed: 0 });
    const trues = (name: string): number =>
      toNumbers(feeds.get(name)!)?.reduce((sum, one) => sum + one, 0) ?? Number.NaN;
    expect(trues('flags')).toBeGreaterThan(16);
    expect(trues('flags')).toBeLessThan(48);
    expect(trues('use_cache')).toBe(0);
    expect(trues('padding_mask')).toBe(64);
  });
});

test('sizes that would be too large are passed over, not the end of the search', async () => {
  const model = modelOf({ mask: ['bool', [1, 'p', 'q', 'r', 's']] }, ({ mask }, graph) => {
    const target = graph.addInitializer('target', int64Vector([6, 6, 1]));
    graph.addOutput(graph.append('Reshape', { inputs: [mask, target] }).output());
  });
  const session = await openModel(model, { graphOptimizationLevel: 'disabled' });
  try {
    const [batch] = await syntheticFeeds(model, session, { seed: 1 });
    expect(batch?.feeds.get('mask')?.shape).toEqual([1, 6, 6, 1, 1]);
  } finally {
    await session.dispose();
  }
});
