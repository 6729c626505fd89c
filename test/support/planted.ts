import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import { writeSelfLabelled } from './self-labelled.ts';

const channels = 32;
const size = 16;
const classes = 6;
const features = channels * 16;

/** Names of the convolutions, in order; `planted` is the one that 8 bits ruin. */
export const plantedLayers = ['conv0', 'conv1', 'planted', 'conv3', 'conv4'] as const;

/**
 * A small classifier x [N, 32, 16, 16] → 5 × (Conv, Relu) → Flatten → Gemm → logits [N, 6], in which one convolution gives a channel 3000 times as
 * large as the others and a Div in float takes it back: 8 bits with one scale for all channels round the others away.
 */
export function plantedModel(): Model {
  const random = randomNumbers(7);
  const numbers = (count: number, scale: number): Float32Array =>
    Float32Array.from({ length: count }, () => (random() + random() + random() - 1.5) * scale);
  const graph = new Graph('planted');
  const type = tensorType('float32', ['N', channels, size, size]);
  const small = tensorType('float32', ['N', channels, 4, 4]);
  let value: Value = graph.addInput('x', type);
  for (const name of plantedLayers) {
    const weights = numbers(channels * channels * 9, 0.225);
    const bias = numbers(channels, 0.3);
    const factors = new Float32Array(channels).fill(1);
    if (name === 'planted') {
      factors[0] = 3000;
      for (let at = 0; at < channels * 9; at++) weights[at] = (weights[at] as number) * 3000;
      bias[0] = (bias[0] as number) * 3000;
    }
    const inputs = [
      value,
      graph.addInitializer(`${name}_w`, tensorFrom('float32', [channels, channels, 3, 3], weights)),
      graph.addInitializer(`${name}_b`, tensorFrom('float32', [channels], bias)),
    ];
    // The last one leaves 4 × 4 places, so that the Gemm stays small.
    const last = name === plantedLayers.at(-1);
    const stride = last ? [size / 4, size / 4] : [1, 1];
    const conv = graph.append('Conv', {
      name,
      inputs,
      outputs: [`${name}_out`],
      types: [last ? small : type],
      attrs: { pads: [1, 1, 1, 1], strides: stride },
    });
    value = graph
      .append('Relu', { inputs: [conv.output()], outputs: [`${name}_relu`], types: [last ? small : type] })
      .output();
    if (name !== 'planted') continue;
    const scale = graph.addInitializer('factors', tensorFrom('float32', [1, channels, 1, 1], factors));
    value = graph.append('Div', { inputs: [value, scale], outputs: ['scaled'], types: [type] }).output();
  }
  const flat = graph.append('Flatten', {
    inputs: [value],
    outputs: ['flat'],
    types: [tensorType('float32', ['N', features])],
  });
  const head = [
    flat.output(),
    graph.addInitializer('head_w', tensorFrom('float32', [features, classes], numbers(features * classes, 1))),
    graph.addInitializer('head_b', tensorFrom('float32', [classes], numbers(classes, 0.1))),
  ];
  const logits = graph.append('Gemm', {
    name: 'head',
    inputs: head,
    outputs: ['logits'],
    types: [tensorType('float32', ['N', classes])],
  });
  graph.addOutput(logits.output());
  return new Model(graph, 17, 8);
}

/** Writes model.onnx and a data set whose labels are the model's own answers; half the samples are for calibration. */
export async function writePlanted(dir: string, samples: number): Promise<void> {
  const random = randomNumbers(11);
  const numbers = (count: number): { shape: number[]; data: Float32Array } => ({
    shape: [count, channels, size, size],
    data: Float32Array.from(
      { length: count * channels * size * size },
      () => (random() + random() + random() - 1.5) * 2,
    ),
  });
  const parts = { x: numbers(samples), calibration: numbers(64) };
  await writeSelfLabelled(dir, plantedModel(), { name: 'planted', ...parts, output: 'logits', batch: 50 });
}
