import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { configJson } from './config.ts';
import { dataProblem, partOf, placeAll } from './place.ts';
import { readme } from './readme.ts';

/** What is built of a lone model.onnx: the formats that transformers.js asks for by default, and what GPUs want. */
const usualVariants = ['fp16', 'int8', 'uint8', 'int4', 'q4f16'] as const;

function supports(artifact: Artifact): Support {
  const objections = runtimeObjections(artifact);
  const { placed, left, parts, partial } = placeAll(artifact);
  objections.push(...placed.flatMap((one) => dataProblem(one) ?? []));
  if (placed.length === 0) objections.push(`No variant has a name that transformers.js knows: ${left.join(', ')}.`);
  if (parts.includes('decoder_with_past_model') && !parts.includes('decoder_model_merged'))
    objections.push(
      'transformers.js opens onnx/decoder_model_merged.onnx, which joins decoder_model and decoder_with_past_model, and there is none: export the model once more with Optimum, which writes it.',
    );
  if (objections.length > 0) return { ok: false, because: objections };
  const notes = left.map((variant) => `${variant} has no name in transformers.js and is left out.`);
  if (partial.length > 0)
    notes.push(
      `Not all of ${parts.join(', ')} come as ${partial.join(', ')}: left out, since one dtype is asked of all.`,
    );
  if (parts.length > 1)
    notes.push(
      `${parts.length} files make up the model: ${parts.join(', ')}. Inputs and outputs named are those of ${partOf(artifact)}.`,
    );
  if (isAlone(parts))
    notes.push(
      `${parts[0]} is one of the files that make up the model, and the others are not here: bundle the folder to have them all.`,
    );
  if (!artifact.companions?.some(({ name }) => name === 'config.json'))
    notes.push(
      'There is no config.json beside the model: one without a model class is written, which AutoModel opens with a warning.',
    );
  return { ok: true, because: notes };
}

/** One of several files, bundled without the others: no model class opens it, but it opens by its name. */
function isAlone(parts: readonly string[]): boolean {
  return parts.length === 1 && parts[0] !== 'model';
}

function* emit(artifact: Artifact): Iterable<BundleFile> {
  const { placed, parts } = placeAll(artifact);
  const all = [artifact, ...(artifact.others ?? [])];
  /** Golden cases of a variant, by their number in the manifest. */
  const casesOf = (one: Artifact): number[] => {
    const first = all.slice(0, all.indexOf(one)).reduce((sum, { golden }) => sum + golden.length, 0);
    return one.golden.map((_, n) => first + n);
  };
  for (const { dtype, part, path, artifact: one } of placed) {
    const [model, ...data] = one.files;
    if (!model) continue;
    const program = {
      format: 'transformers-js',
      config: { dtype, part, ...(isAlone(parts) && { model_type: 'custom' }) },
      cases: casesOf(one),
    };
    yield { path, from: model.source, program };
    for (const { name, source } of data) yield { path: `onnx/${name}`, from: source };
  }
  for (const { name, source } of artifact.companions ?? [])
    if (name !== 'config.json') yield { path: name, from: source };
  yield { path: 'config.json', bytes: configJson(artifact, placed) };
  yield { path: 'README.md', bytes: readme(artifact, placed) };
}

/** A folder in the layout of the Hugging Face hub, for transformers.js. */
export const transformersJs = defineTarget({
  id: 'transformers-js',
  summary: 'folder in the Hugging Face layout that @huggingface/transformers opens',
  options: {},
  providers: ['web-wasm', 'web-webgpu'],
  runtime: { package: 'onnxruntime-web', version: ortVersion },
  usualVariants,
  takesParts: true,
  supports,
  beside: (recommended, candidates) => {
    const { placed } = placeAll({ ...recommended, others: candidates });
    return candidates.filter((one) => placed.some(({ artifact }) => artifact === one));
  },
  holds: (artifact) => {
    const { placed } = placeAll(artifact);
    return (artifact.others ?? []).filter((one) => placed.some((place) => place.artifact === one));
  },
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
