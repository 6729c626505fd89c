import {
  classShape,
  distributionShape,
  layerShape,
  placementShape,
  runtimeShape,
  scoresShape,
  sensitivityShape,
} from './evidence.ts';
import { reportSchema } from './report.ts';
import {
  anything,
  array,
  boolean,
  count,
  integerOrString,
  type JsonSchema,
  literal,
  nullable,
  number,
  object,
  oneOf,
  optional,
  pair,
  record,
  string,
} from './schema.ts';
import { callShape, noiseShape, opTimeShape, providerShape, throughputShape } from './timing.ts';

const sha256 = string('SHA-256, hexadecimal.', '^[0-9a-f]{64}$');
const sentences = (description: string) => array(description, string('One sentence.'));
const counts = (description: string) => record(description, count('How often.'));
const ms = (description: string) => number(description, { minimum: 0 });

const io = object('One input or output.', {
  name: string('Name in the graph.'),
  dtype: string('Element type: float32, int64, …'),
  shape: nullable(
    array(
      'Dimensions; null where the rank is not known.',
      nullable(integerOrString('A number, a symbol, or null where nothing is known.')),
    ),
  ),
});

const host = object('The machine that measured.', {
  platform: string('Operating system and architecture.'),
  cpu: string('Name of the processor.'),
  flags: array('Instruction sets that decide int8 speed and saturation.', string('avx2, avx512_vnni, asimddp, …')),
  cores: count('Logical cores.'),
  memoryBytes: count('Main memory, bytes.'),
  node: string('Version of Node.js.'),
  ort: string('Version of ONNX Runtime.'),
});

const input = object('The model as it came.', {
  path: string('As given on the command line.'),
  sha256,
  bytes: count('Size, external data included.'),
  externalData: optional(
    array(
      'Files beside the model that its weights are in.',
      object('One file.', {
        name: string('Relative to the model.'),
        bytes: count('Size of the file.'),
        sha256,
      }),
    ),
  ),
  parameters: count('Elements in initializers.'),
  nodes: count('Nodes, subgraphs included.'),
  irVersion: count('ONNX IR version.'),
  opsets: record('Operator set versions by domain; ai.onnx is the empty text.', count('Version.')),
  producer: string('Who exported it.'),
  inputs: array('Inputs.', io),
  outputs: array('Outputs.', io),
});

const data = object('What the variants were judged on.', {
  path: string('Folder; empty when inputs were made up.'),
  name: string('Name of the data set.'),
  samples: count('Samples judged on.'),
  calibrationSamples: count('Samples that activation ranges came from.'),
  metric: nullable(string('Name of the metric (docs/metrics.md); null without labels.')),
  synthetic: boolean('True when inputs were made up (seeded): accuracy was then not measured.'),
  sha256: optional(sha256),
});

const step = object('One pass, as it ran.', {
  pass: string('Id of the pass.'),
  options: record('Its options, defaults filled in.', anything('Value of the option.')),
  changed: boolean('Whether it changed the model.'),
  applied: counts('How often each rule fired.'),
  skipped: array(
    'What rules looked at and left, with the reason.',
    object('One non-rewrite.', {
      rule: string('Name of the rule.'),
      node: string('Name of the node.'),
      why: string('The reason, in a sentence.'),
      weightBytes: optional(count('Size of the weights that the node reads; absent where it reads none.')),
    }),
  ),
  notes: optional(sentences('What the pass reasoned on its way, step by step; only where it searched.')),
  nodesBefore: count('Nodes before the pass.'),
  nodesAfter: count('Nodes after it.'),
  ms: ms('Time the pass took, milliseconds.'),
});

const fidelity = object('Outputs against those of base, same inputs.', {
  sqnrDb: nullable(
    number('Signal-to-quantization-noise ratio of the worst output, decibels; null: outputs are identical.'),
  ),
  cosine: number('Cosine similarity of the worst output.', { minimum: -1, maximum: 1 }),
  maxAbs: number('Largest absolute difference.', { minimum: 0 }),
  samples: count('Samples compared.'),
  agreement: nullable(number('Share of samples with the same highest class.', { minimum: 0, maximum: 1 })),
});

const accuracy = object('The task metric.', {
  metric: string('Id of the metric.'),
  value: nullable(number('This variant; null: outputs give no finite number.')),
  base: nullable(number('The base model on the same samples.')),
  drop: nullable(number('Positive is worse, whatever the direction of the metric.')),
  samples: count('Samples judged.'),
  higherIsBetter: optional(boolean('Whether more of the metric is better.')),
  dropCi: optional(
    pair('95 % interval of the drop, both models judged on the same samples.', number('End of the interval.')),
  ),
  discordant: optional(
    object('Samples that one of the two models gets right and the other wrong.', {
      lost: count('Right in base, wrong here.'),
      gained: count('Wrong in base, right here.'),
      p: number('McNemar’s exact test, one-sided: how likely chance alone loses that many.', {
        minimum: 0,
        maximum: 1,
      }),
    }),
  ),
  neededSamples: optional(count('Samples that would tell a drop of the limit from none, where there are fewer.')),
  classes: optional(
    array(
      'By class, where samples have classes: the largest drop first; of many the 50 that lost most and the 50 least likely by chance.',
      classShape,
    ),
  ),
  scores: optional(scoresShape),
});

const latency = object('Time of one inference on one provider, milliseconds.', {
  p50: ms('Median.'),
  p90: ms('90th percentile.'),
  p95: optional(ms('95th percentile.')),
  p99: ms('99th percentile.'),
  samples: count('Timed inferences.'),
  distribution: optional(distributionShape),
  ratioToBase: ms('Median of this variant / median of base, interleaved in one process: below 1 is faster.'),
  ratioCi: pair('Bootstrap 95 % interval of that ratio.', ms('End of the interval.')),
  call: optional(callShape),
});

const audit = object('What ONNX Runtime made of the file at optimization level extended.', {
  quantizedNodes: count('Nodes that run on integers.'),
  floatNodes: count('Heavy nodes that still run in float.'),
  leftoverQdq: count('QuantizeLinear and DequantizeLinear nodes that were not absorbed.'),
  insertedCasts: count('Casts that the runtime put in.'),
  fusedOps: counts('Fused operators in the optimized graph.'),
  findings: array(
    'Nodes that missed a fusion.',
    object('One of them.', {
      node: string('Name of the node.'),
      op: string('Its operator.'),
      why: string('The rule that it breaks, in a sentence.'),
    }),
  ),
});

const variant = object('One version of the model.', {
  name: string('base, or the name of the recipe.'),
  steps: array('Passes in order.', step),
  file: nullable(string('Path relative to the report; null when it could not be built.')),
  sha256: nullable(sha256),
  bytes: nullable(count('Size, external data included.')),
  compressedBytes: nullable(count('Size after brotli: what a download costs.')),
  parameters: nullable(count('Elements in initializers.')),
  nodes: nullable(count('Nodes, subgraphs included.')),
  ops: counts('Operators by name, `domain:op` outside ai.onnx.'),
  fidelity: nullable(fidelity),
  accuracy: nullable(accuracy),
  latency: record('By provider: cpu, cuda, webgpu, web-wasm, web-webgpu.', latency),
  sessionMs: nullable(ms('Time to load the file, milliseconds.')),
  firstMs: optional(ms('Time of the first inference after loading, milliseconds.')),
  failures: optional(record('By provider: why it does not work there.', string('A sentence.'))),
  throughput: optional(record('By provider.', array('One entry for each setting.', throughputShape))),
  profile: optional(record('By provider: operators by time.', array('The most expensive first.', opTimeShape))),
  peakRssBytes: nullable(count('Highest memory of a process that loads and runs it.')),
  audit: nullable(audit),
  layers: optional(array('Layers of this file against those of base.', layerShape)),
  runtimes: optional(record('By provider: the same file there, against its outputs on the CPU.', runtimeShape)),
  placement: optional(record('By provider that was asked for: where the nodes ran.', placementShape)),
  verdict: oneOf('What became of it.', ['recommended', 'accepted', 'rejected']),
  reasons: sentences('Why.'),
});

/** The shape of report.json, version 1. */
export const reportShape = object('What mlpack did to a model, what it measured, and what it recommends.', {
  schema: literal('Version of this format; keys may be added within it, never changed or removed.', reportSchema),
  tool: object('Who wrote it.', {
    name: literal('Always mlpack.', 'mlpack'),
    version: string('Version of mlpack.'),
  }),
  createdAt: string('ISO 8601, UTC.'),
  command: string('The command line that gives this report again.'),
  seed: number('Seed of everything random.'),
  host,
  input,
  data: optional(data),
  limits: object('What a variant had to keep.', {
    maxDrop: number('Largest allowed drop of the task metric against base.', { minimum: 0 }),
    minSqnrDb: optional(number('Without labels: how well outputs must match those of base, decibels.')),
  }),
  origins: optional(
    record('Which of flag, config and default set each option.', oneOf('Origin.', ['flag', 'config', 'default'])),
  ),
  warnings: optional(sentences('What makes the figures doubtful.')),
  providers: optional(
    record('Providers that were measured on, by the name that latency has them under.', providerShape),
  ),
  noise: optional(record('By provider: how far its timings can be believed.', noiseShape)),
  targets: array('Targets asked for.', string('Id of a target.')),
  sensitivity: optional(array('Which layers of base bear quantization, one entry a scheme.', sensitivityShape)),
  variants: array('Versions of the model, base first.', variant),
  notBuilt: optional(
    array(
      'Usual variants that were not built, because they cannot pay on the providers of this run.',
      object('One of them.', { variant: string('Its name.'), why: string('The reason, in a sentence.') }),
    ),
  ),
  bundles: array(
    'Deployment bundles written.',
    object('One bundle.', {
      target: string('Id of the target.'),
      dir: string('Folder relative to the report.'),
      variant: string('Variant inside.'),
      bytes: count('Size of all files.'),
      files: count('Number of files.'),
    }),
  ),
  recommendations: array(
    'At most one for each target.',
    object('One recommendation.', {
      target: string('Id of the target.'),
      provider: string('Provider that decided.'),
      variant: string('Name of the variant.'),
      because: sentences('Why this one.'),
    }),
  ),
  verdict: object('The gate.', {
    ok: boolean('True when everything asked for was kept.'),
    reasons: sentences('Why, either way.'),
  }),
});

/**
 * JSON Schema of report.json, shipped as reports/report.schema.json; a test keeps the two equal. After a change here, build and write it:
 * `node --input-type=module -e "import fs from 'node:fs'; import { reportJsonSchema } from './dist/src/report/shape.js';
 * fs.writeFileSync('reports/report.schema.json', JSON.stringify(reportJsonSchema))" && npx biome format --write reports`.
 */
export const reportJsonSchema: JsonSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: `urn:${reportSchema.replace('/', ':').replace('.', ':')}`,
  title: 'mlpack report',
  ...reportShape.json,
};
