import { Graph, Model, type Value } from '../../src/ir/graph.ts';
import { tensorFrom } from '../../src/ir/tensor.ts';
import { tensorType } from '../../src/ir/types.ts';
import { randomNumbers } from '../../src/kernels/random.ts';
import { writeSelfLabelled } from './self-labelled.ts';

const classes = 8;
const calibration = 32;

/**
 * A small classifier x [N, width] → 4 × (MatMul, Relu) → MatMul → logits [N, 8]. In each block of 32 rows of the weights of one layer, `planted`, one row
 * is 500 times as large as the others, and what it is multiplied with so much smaller: weights with one scale for a column or a block, of 8 bits or 4,
 * round the other rows away. In float nothing shows.
 * @param spare channels of the first layer that next to nothing is made of
 */
function plantedRowsModel(width: number, spare: number): Model {
  const random = randomNumbers(11);
  const graph = new Graph('rows');
  const row = tensorType('float32', ['N', width]);
  let value: Value = graph.addInput('x', row);
  const layers = ['first', 'second', 'planted', 'fourth', 'head'];
  for (const [at, name] of layers.entries()) {
    const columns = name === 'head' ? classes : width;
    const weights = Float32Array.from(
      { length: width * columns },
      () => (random() + random() + random() - 1.5) * Math.sqrt(8 / width),
    );
    for (let i = 0; i < weights.length; i++) {
      const [k, n] = [Math.floor(i / columns), i % columns];
      if (name === 'planted' && k % 32 === 5) weights[i] = (weights[i] as number) * 500;
      if (layers[at + 1] === 'planted' && n % 32 === 5) weights[i] = (weights[i] as number) / 500;
      if (name === 'second' && k >= width - spare) weights[i] = (weights[i] as number) / 1000;
    }
    const type = tensorType('float32', ['N', columns]);
    const product = graph.append('MatMul', {
      name,
      inputs: [value, graph.addInitializer(`${name}_w`, tensorFrom('float32', [width, columns], weights))],
      outputs: [name === 'head' ? 'logits' : `${name}_out`],
      types: [type],
    });
    value =
      name === 'head'
        ? product.output()
        : graph.append('Relu', { inputs: [product.output()], outputs: [`${name}_relu`], types: [row] }).output();
  }
  graph.addOutput(value);
  return new Model(graph, 17, 8);
}

/** Writes the model and data labelled by itself into a folder: model.onnx, dataset.json, arrays. */
export async function writePlantedRows(dir: string, samples: number, width = 64, spare = 0): Promise<void> {
  const random = randomNumbers(3);
  const numbers = (count: number): { shape: number[]; data: Float32Array } => ({
    shape: [count, width],
    data: Float32Array.from({ length: count * width }, () => random() * 2 - 1),
  });
  const parts = { x: numbers(samples), calibration: numbers(calibration) };
  await writeSelfLabelled(dir, plantedRowsModel(width, spare), { name: 'rows', ...parts });
}
