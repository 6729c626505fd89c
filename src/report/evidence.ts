/**
 * Optional parts of the report that explain its figures: distributions, classes, layers, runtimes. Shapes and types in one;
 * whoever measures them fills them in, renderers show what is there.
 */
import {
  array,
  boolean,
  count,
  nullable,
  number,
  object,
  optional,
  pair,
  record,
  string,
  type TypeOf,
} from './schema.ts';

const share = (description: string) => number(description, { minimum: 0, maximum: 1 });
const ms = (description: string) => number(description, { minimum: 0 });

/** 41 values describe a distribution well enough to draw it, and weigh half a kilobyte. */
export const distributionShape = array(
  'Quantiles of the timed inferences at even steps from the smallest to the largest (41 of them: 0 %, 2.5 %, … 100 %), milliseconds.',
  ms('One quantile.'),
);

export const classShape = object('One class of the label.', {
  name: string('Name of the class, or its index.'),
  samples: count('Samples with this label.'),
  base: nullable(number('The metric of base on them.')),
  value: nullable(number('The metric of this variant on them.')),
  lost: optional(count('Right in base, wrong here.')),
  gained: optional(count('Wrong in base, right here.')),
  dropCi: optional(pair('95 % interval of the drop of this class by itself.', number('End of the interval.'))),
  p: optional(
    share(
      'How likely chance alone makes a class that much worse, one-sided and adjusted for the number of classes (Holm): McNemar’s exact test where samples are right or wrong.',
    ),
  ),
});
export type ClassResult = TypeOf<typeof classShape>;

export const scoresShape = object(
  'The score of every sample, in the order of the data, so that a later run can be compared sample by sample.',
  {
    form: string('`right`: one bit a sample, 1 for right; `float32`: little-endian floats.', '^(right|float32)$'),
    higherIsBetter: boolean('Whether a higher score is a better one.'),
    count: count('Samples.'),
    base64: string('The bytes; bits start at the lowest of each byte.'),
  },
);
export type ScoresText = TypeOf<typeof scoresShape>;

export const layerShape = object('One layer, against the same layer of base on the same inputs.', {
  node: string('Name of the node in the model as it came.'),
  op: string('Its operator.'),
  sqnrDb: nullable(number('Signal-to-quantization-noise ratio of its output, decibels; null: identical.')),
  cosine: optional(number('Cosine similarity of its output.', { minimum: -1, maximum: 1 })),
  maxAbs: optional(number('Largest absolute difference of its output.', { minimum: 0 })),
});
export type LayerError = TypeOf<typeof layerShape>;

export const sensitivityShape = object('What the outputs of the model lose when one layer alone is changed.', {
  scheme: string('How the layer was changed: int8 static, int4 weights, …'),
  measure: string('What `loss` is: the unit and the direction in words, such as `dB of SQNR below float`.'),
  samples: count('Samples that it was measured on.'),
  layers: array(
    'Layers, in the order of the graph.',
    object('One layer.', {
      node: string('Name of the node.'),
      op: string('Its operator.'),
      loss: nullable(number('Larger is more sensitive; null: the outputs had no finite number.')),
      bytes: optional(count('Size of its weights in float, bytes.')),
      timeShare: optional(share('Of the time of all nodes on the CPU, from the runtime’s profile of the float model.')),
      kept: optional(string('Where the layer was left in higher precision: why, in a sentence.')),
    }),
  ),
  unmeasured: optional(
    array(
      'Nodes with weights that were not measured.',
      object('One of them.', { node: string('The node.'), why: string('The reason, in a sentence.') }),
    ),
  ),
});
export type Sensitivity = TypeOf<typeof sensitivityShape>;

export const runtimeShape = object('The same file on another provider, against its own outputs on the CPU.', {
  samples: count('Samples compared.'),
  agreement: nullable(share('Share of samples with the same highest class; null where outputs hold no scores.')),
  maxAbs: number('Largest absolute difference.', { minimum: 0 }),
  sqnrDb: nullable(number('Of the worst output, decibels; null: outputs are identical.')),
  maxSteps: optional(
    number('Largest difference in steps of the last quantization, where outputs are integers or were dequantized.', {
      minimum: 0,
    }),
  ),
  adapter: optional(string('The device that computed, as the provider names it.')),
  software: optional(boolean('True for a software adapter: its outputs count, its time does not.')),
});
export type RuntimeAgreement = TypeOf<typeof runtimeShape>;

export const placementShape = object('Where the nodes of a file ran when a provider was asked for.', {
  nodes: record('Nodes by the provider that ran them.', count('How many.')),
  fallbacks: array(
    'Nodes that ran elsewhere.',
    object('One of them.', {
      node: string('Name of the node.'),
      op: string('Its operator.'),
      provider: string('Where it ran instead.'),
    }),
  ),
});
export type Placement = TypeOf<typeof placementShape>;
