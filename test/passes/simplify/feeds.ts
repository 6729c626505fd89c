import { elementCount, type Tensor, tensorFrom, tensorOf } from '../../../src/ir/tensor.ts';
import { random } from '../../support/differential.ts';
import type { Feeds } from '../../support/ort.ts';

type Filling = (shape: readonly number[], next: () => number) => Tensor;

const floats =
  (low: number, high: number): Filling =>
  (shape, next) =>
    tensorFrom(
      'float32',
      shape,
      Float32Array.from({ length: elementCount(shape) }, () => low + (high - low) * next()),
    );
const integers =
  (low: number, high: number): Filling =>
  (shape, next) =>
    tensorOf(
      'int64',
      shape,
      Array.from({ length: elementCount(shape) }, () => low + Math.floor(next() * (high - low))),
    );
const scalar = (value: number): Filling => integers(value, value + 1);

type Input = readonly [shape: readonly number[], fill: Filling];
type Binding = Readonly<Record<string, Input>>;

const normal = floats(-2, 2);

function bert(batch: number, seq: number): Binding {
  const shape = [batch, seq];
  return {
    input_ids: [shape, integers(5, 500)],
    attention_mask: [shape, integers(0, 2)],
    token_type_ids: [shape, scalar(0)],
  };
}

function llama(batch: number, seq: number, past: number): Binding {
  const binding: Record<string, Input> = {
    input_ids: [[batch, seq], integers(1, 512)],
    attention_mask: [[batch, past + seq], scalar(1)],
    position_ids: [[batch, seq], integers(0, past + seq)],
  };
  for (let layer = 0; layer < 5; layer++) {
    for (const part of ['key', 'value']) {
      binding[`past_key_values.${layer}.${part}`] = [[batch, 4, past, 8], normal];
    }
  }
  return binding;
}

const gtcrn: Binding = {
  mix: [[1, 257, 1, 2], normal],
  conv_cache: [[2, 1, 16, 16, 33], normal],
  tra_cache: [[2, 3, 1, 1, 16], normal],
  inter_cache: [[2, 1, 33, 16], normal],
};

const vad = (batch: number, samples: number, rate: number): Binding => ({
  input: [[batch, samples], floats(-0.5, 0.5)],
  state: [[2, batch, 128], normal],
  sr: [[], scalar(rate)],
});

/** Realistic inputs for each shared model, for several extents of what is dynamic. */
export const bindings: Readonly<Record<string, readonly Binding[]>> = {
  'cifar10-resnet20': [1, 3].map((batch) => ({ input: [[batch, 3, 32, 32], normal] })),
  'clinc150-bert': [bert(1, 7), bert(3, 16), bert(2, 1)],
  fastestdet: [{ 'input.1': [[1, 3, 352, 352], floats(0, 1)] }],
  gtcrn: [gtcrn],
  'imagenet-mobilenetv1-050': [1, 2].map((n) => ({ input: [[n, 3, 160, 160], floats(-1, 1)] })),
  'mnist-cntk': [{ Input3: [[1, 1, 28, 28], floats(0, 255)] }],
  'silero-vad': [vad(1, 576, 16000), vad(2, 576, 16000), vad(1, 288, 8000)],
  'stories260k-llama': [llama(1, 5, 0), llama(2, 3, 4), llama(1, 1, 9)],
  supres: [1, 2].map((batch) => ({ input: [[batch, 1, 224, 224], floats(0, 1)] })),
  'wine-gbdt': [1, 5].map((n) => ({ x: [[n, 12], floats(0, 50)] })),
  'wine-mlp': [1, 5].map((n) => ({ x: [[n, 12], floats(0, 50)] })),
  'yunet-face': [
    [1, 64, 96],
    [2, 32, 32],
  ].map(([n = 1, h = 32, w = 32]) => ({ input: [[n, 3, h, w], floats(0, 255)] })),
};

/** @throws Error when nothing is known about the model: a new one needs its line here. */
export function sharedFeeds(slug: string, seed: number): Feeds[] {
  const known = bindings[slug];
  if (!known) throw new Error(`test/passes/simplify/feeds.ts says nothing about ${slug}`);
  return known.map((binding, index) => {
    const next = random(seed + index);
    return new Map(Object.entries(binding).map(([name, [shape, fill]]) => [name, fill(shape, next)]));
  });
}
