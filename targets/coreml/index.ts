import { UserError } from '../../src/errors.ts';
import { type OptionValues, opt } from '../../src/pass/options.ts';
import { labelLines } from '../../src/target/labels.ts';
import { refusalOf } from '../../src/target/refusal.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { type Converted, convertToCoreml, unsupportedOps } from './convert.ts';
import { type MilGraph, weightBytes } from './graph.ts';
import { readme } from './readme.ts';
import { facts, gives, takes } from './run.ts';
import { maxRank } from './schema.ts';
import { writePackage } from './write.ts';

const options = {
  precision: opt.choice(
    ['float32', 'float16'],
    'float32',
    'what the program computes in; the Neural Engine takes float16 alone, weights then have half the size',
  ),
};

type Options = OptionValues<typeof options>;

function supports(artifact: Artifact, chosen: Options): Support {
  // Golden outputs come from ONNX Runtime, so it must take the model too.
  const because = runtimeObjections(artifact);
  const { graph, golden } = artifact;
  if (golden.length === 0)
    because.push('Core ML programs are written with fixed shapes here, which come from golden inputs; there are none.');
  const missing = graph ? unsupportedOps(graph) : [];
  if (missing.length > 0) {
    const quantized = missing.some((name) => name.startsWith('QuantizeLinear'));
    const hint = quantized ? ' Programs compute in floats: bundle the model as it was before it was quantized.' : '';
    because.push(`These operators have no counterpart in Core ML here: ${missing.join(', ')}.${hint}`);
  }
  for (const { name, dtype } of artifact.inputs)
    if (!takes.includes(dtype)) because.push(`Input "${name}" is ${dtype}; Core ML models take float32 and int32.`);
  for (const { name, dtype } of artifact.outputs)
    if (!gives.includes(dtype)) because.push(`Output "${name}" is ${dtype}; Core ML models give float32 and int32.`);
  const tensors = [...(golden[0]?.inputs ?? []), ...(golden[0]?.outputs ?? [])];
  const empty = tensors.filter(({ shape }) => shape.includes(0)).map(({ name }) => `"${name}"`);
  if (empty.length > 0)
    because.push(`Core ML has no arrays without elements, as golden cases have them for ${empty.join(', ')}.`);
  const odd = tensors.filter(({ shape }) => shape.length === 0 || shape.length > maxRank);
  for (const { name, shape } of odd)
    because.push(`"${name}" has ${shape.length} axes; Core ML's arrays have 1 to ${maxRank}.`);
  // What single nodes lack (an attribute, weights that are computed) shows as they are converted.
  const obstacle = because.length === 0 && graph ? refusalOf(() => convertToCoreml(graph, chosen)) : undefined;
  if (obstacle !== undefined) because.push(obstacle);
  if (because.length > 0) return { ok: false, because };
  return {
    ok: true,
    because: [
      'Experimental: written after the published format and checked by an interpreter of its own, not executed by Core ML.',
      'Dimensions are fixed at the shapes of the first golden case.',
    ],
  };
}

/** Halves: 2⁻¹¹ of every value at every step. The worst of the shared models is wine-mlp with 5.5e-2, whose made-up inputs nearly cancel (docs/mobile.md). */
function toleranceOf({ precision }: Options): { rtol: number; atol: number } {
  return precision === 'float16' ? { rtol: 1e-1, atol: 1e-4 } : { rtol: 1e-4, atol: 5e-6 };
}

/** Names and element types of the ONNX model, which the program's own may differ from. */
function factsOf(artifact: Artifact, { graph, names }: Converted): Record<string, string> {
  const known: Record<string, string> = { 'onnx.model': artifact.name };
  for (const [name, own] of Object.entries(names)) if (own !== name) known[facts.name(name)] = own;
  for (const { name, type } of graph.outputs) {
    const dtype = artifact.outputs.find((output) => output.name === names[name])?.dtype;
    if (dtype !== undefined && type === 'int32' && dtype !== 'int32') known[facts.dtype(name)] = dtype;
  }
  return known;
}

function operations(graph: MilGraph): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { type } of graph.ops) if (type !== 'const') counts.set(type, (counts.get(type) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function* emit(artifact: Artifact, chosen: Options): Iterable<BundleFile> {
  const model = artifact.graph;
  if (!model)
    throw new UserError(
      'target-graph',
      'The Core ML target needs the graph of the model; bundle it with the mlpack command.',
    );
  const converted = convertToCoreml(model, chosen);
  const { graph, names } = converted;
  const written = writePackage(graph, {
    description: `${artifact.name} (${artifact.variant})`,
    license: artifact.license,
    version: artifact.release?.version,
    facts: factsOf(artifact, converted),
  });
  const data = 'model.mlpackage/Data/com.apple.CoreML';
  yield { path: 'model.mlpackage/Manifest.json', bytes: written.manifest };
  yield { path: `${data}/weights/weight.bin`, bytes: written.weights };
  yield {
    path: `${data}/model.mlmodel`,
    bytes: written.model,
    program: { format: 'coreml', tolerance: toleranceOf(chosen) },
  };
  if (artifact.labels) yield { path: 'labels.txt', bytes: labelLines(artifact.labels) };
  for (const { name, source } of artifact.files) yield { path: `source/${name}`, from: source };
  const report = {
    schema: 'mlpack.coreml-report/1',
    executed: 'not on Apple hardware; by the interpreter of mlpack',
    precision: chosen.precision,
    operations: operations(graph),
    weightBytes: weightBytes(graph),
    names,
  };
  yield { path: 'conversion.json', bytes: `${JSON.stringify(report, null, 1)}\n` };
  yield { path: 'README.md', bytes: readme(artifact, graph, { names, precision: chosen.precision }) };
}

/** An `.mlpackage` with an ML program, written directly. Experimental: Core ML itself runs nowhere but on Apple's systems. */
export const coreml = defineTarget({
  id: 'coreml',
  summary:
    'Core ML package (ML program, float32 or float16), written directly; experimental: not executed on Apple hardware',
  options,
  wantsGraph: true,
  providers: ['cpu'],
  runtime: { package: 'coreml', version: '5' },
  supports,
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
