import { UserError } from '../../src/errors.ts';
import { type OptionValues, opt } from '../../src/pass/options.ts';
import { labelLines } from '../../src/target/labels.ts';
import { refusalOf } from '../../src/target/refusal.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { isObject } from '../browser/json.ts';
import { imageTask } from '../browser/task-image.ts';
import { convertToLite, unsupportedOps } from './convert.ts';
import { constantBytes, writeLite } from './graph.ts';
import { labelsFile, mediaPipeMetadata, withFiles } from './metadata.ts';
import { readme } from './readme.ts';
import { exchangeable } from './run.ts';

const options = {
  inputs: opt.choice(
    ['nhwc', 'keep'],
    'nhwc',
    'pictures go in channels last, as cameras and MediaPipe give them, or as the model has them',
  ),
  weights: opt.choice(['float32', 'float16'], 'float32', 'how float weights are stored; float16 halves the file'),
  integers: opt.choice(
    ['int32', 'keep'],
    'int32',
    'inputs of 64-bit integers come in as 32 bits, which every binding of LiteRT exchanges, or as the model has them',
  ),
  metadata: opt.boolean(true, 'metadata for MediaPipe Tasks, where the data says how pictures go in or has labels'),
};

type Options = OptionValues<typeof options>;

/** A FlatBuffer is addressed by 31 bits. */
const maxBytes = 2 ** 31 - 1;

/** Floats that hardly any kernel computes in. */
const otherFloats: ReadonlySet<string> = new Set(['float16', 'bfloat16', 'float64']);

function supports(artifact: Artifact, chosen: Options): Support {
  // Golden outputs come from ONNX Runtime, so it must take the model too.
  const because = runtimeObjections(artifact);
  const { graph } = artifact;
  if (artifact.golden.length === 0)
    because.push('TensorFlow Lite needs fixed shapes, which come from golden inputs; there are none.');
  if (graph) {
    const missing = unsupportedOps(graph);
    if (missing.length > 0)
      because.push(`These operators have no counterpart in TensorFlow Lite here: ${missing.join(', ')}.`);
    const [other] = [...graph.graph.nodes].flatMap((node) =>
      node.outputs.filter((value) => otherFloats.has(value?.dtype ?? '')),
    );
    if (other)
      because.push(
        `The model computes in ${other.dtype} ("${other.name}"), and TensorFlow Lite's kernels in float32; bundle a float32 variant, which weights=float16 stores in half the size.`,
      );
  }
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > maxBytes)
    because.push(`The model has ${(bytes / 1e9).toFixed(1)} GB; a TensorFlow Lite file holds at most 2 GB.`);
  for (const { name, dtype } of [...artifact.inputs, ...artifact.outputs]) {
    if (!exchangeable.includes(dtype))
      because.push(`"${name}" is ${dtype}, which TensorFlow Lite models here do not exchange.`);
  }
  for (const { name, shape } of artifact.golden[0]?.inputs ?? []) {
    if (shape.includes(0))
      because.push(`"${name}" has no elements ([${shape.join(', ')}]); LiteRT refuses such inputs.`);
  }
  // What single nodes lack (an attribute, a type, a shape that is not known) shows as they are converted.
  const obstacle = because.length === 0 && graph ? refusalOf(() => convertToLite(graph, chosen)) : undefined;
  if (obstacle !== undefined) because.push(obstacle);
  if (because.length > 0) return { ok: false, because };
  return { ok: true, because: ['Dimensions are fixed at the shapes of the first golden case.'] };
}

/**
 * Integer kernels round in other places than ONNX Runtime's: two steps of 8 bits at the output. The absolute part is for results near 0: ONNX
 * Runtime's Sigmoid is off by up to 1.7e-7 everywhere (measured between −25 and 25), several times a result of 1e-6. On yunet-face that is all there is:
 * its objectness, at most 2.8e-5 on made-up inputs, differs by 9.5e-8, and ONNX Runtime's Sigmoid of its own logits is 9.8e-8 off the exact one.
 */
function toleranceOf(artifact: Artifact, { weights }: Options): { rtol: number; atol: number } {
  const quantized = (artifact.ops.QuantizeLinear ?? 0) > 0;
  if (quantized) return { rtol: 2e-2, atol: 5e-6 };
  // Halves of weights are 2⁻¹² off at most; what 28 layers make of that is 2.4 % on MobileNetV1, whose made-up inputs are noise.
  return { rtol: weights === 'float16' ? 5e-2 : 1e-4, atol: 5e-6 };
}

function* emit(artifact: Artifact, chosen: Options): Iterable<BundleFile> {
  const model = artifact.graph;
  if (!model)
    throw new UserError(
      'target-graph',
      'The TensorFlow Lite target needs the graph of the model; bundle it with the mlpack command.',
    );
  const { graph, axes } = convertToLite(model, chosen);
  const image = isObject(artifact.preprocessing) ? imageTask(artifact, artifact.preprocessing) : undefined;
  const metadata = chosen.metadata ? mediaPipeMetadata(artifact, image) : undefined;
  const plain = writeLite(
    graph,
    `${artifact.name} (${artifact.variant})`,
    metadata ? { TFLITE_METADATA: metadata } : {},
  );
  // One a line: a name of several lines would move all behind it.
  const labels = artifact.labels && labelLines(artifact.labels);
  const bytes = metadata && labels ? withFiles(plain, { [labelsFile]: Buffer.from(labels, 'utf8') }) : plain;
  const tolerance = toleranceOf(artifact, chosen);
  yield { path: 'model.tflite', bytes, program: { format: 'tflite', axes, tolerance } };
  if (labels) yield { path: labelsFile, bytes: labels };
  for (const { name, source } of artifact.files) yield { path: `source/${name}`, from: source };
  const counts = new Map<string, number>();
  for (const { code } of graph.ops) counts.set(code, (counts.get(code) ?? 0) + 1);
  const report = {
    schema: 'mlpack.tflite-report/1',
    operators: Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
    transposes: graph.count('TRANSPOSE'),
    weightBytes: constantBytes(graph),
    axes,
  };
  yield { path: 'conversion.json', bytes: `${JSON.stringify(report, null, 1)}\n` };
  yield {
    path: 'README.md',
    bytes: readme(artifact, graph, { axes, metadata: metadata !== undefined, weights: chosen.weights }),
  };
}

/** A `.tflite` file written directly, for LiteRT, TensorFlow Lite and MediaPipe Tasks. */
export const tflite = defineTarget({
  id: 'tflite',
  summary:
    'TensorFlow Lite (LiteRT) file: channels last, float32, float16 weights or int8 from QDQ, MediaPipe metadata',
  options,
  wantsGraph: true,
  providers: ['cpu'],
  runtime: { package: 'tensorflow-lite', version: '2.21.0' },
  supports,
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
