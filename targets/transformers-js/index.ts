import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget, type Support } from '../../src/target/target.ts';
import { configJson } from './config.ts';
import { dataProblem, placeAll } from './place.ts';
import { readme } from './readme.ts';

/** What is built of a lone model.onnx: the formats that transformers.js asks for by default, and what GPUs want. */
const usualVariants = ['fp16', 'int8', 'uint8', 'int4', 'q4f16'] as const;

function supports(artifact: Artifact): Support {
  const objections = runtimeObjections(artifact);
  const { placed, left } = placeAll(artifact);
  objections.push(...placed.flatMap((one) => dataProblem(one) ?? []));
  if (placed.length === 0) objections.push(`No variant has a name that transformers.js knows: ${left.join(', ')}.`);
  if (objections.length > 0) return { ok: false, because: objections };
  const notes = left.map((variant) => `${variant} has no name in transformers.js and is left out.`);
  if (!artifact.companions?.some(({ name }) => name === 'config.json'))
    notes.push(
      'There is no config.json beside the model: one without a model class is written, which AutoModel opens with a warning.',
    );
  return { ok: true, because: notes };
}

function* emit(artifact: Artifact): Iterable<BundleFile> {
  const { placed } = placeAll(artifact);
  const all = [artifact, ...(artifact.others ?? [])];
  /** Golden cases of a variant, by their number in the manifest. */
  const casesOf = (one: Artifact): number[] => {
    const first = all.slice(0, all.indexOf(one)).reduce((sum, { golden }) => sum + golden.length, 0);
    return one.golden.map((_, n) => first + n);
  };
  for (const { dtype, path, artifact: one } of placed) {
    const [model, ...data] = one.files;
    if (!model) continue;
    const program = { format: 'transformers-js', config: { dtype }, cases: casesOf(one) };
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
  supports,
  beside: (recommended, candidates) => {
    const { placed } = placeAll({ ...recommended, others: candidates });
    return candidates.filter((one) => placed.some(({ artifact }) => artifact === one));
  },
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
