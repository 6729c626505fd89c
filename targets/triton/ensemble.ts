import { labelLines } from '../../src/target/labels.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { labelledOutput, quote, type TritonOptions, tensor } from './config.ts';
import { type Preparation, preparation } from './prepare.ts';

/** A name of a sister model that does not get in the way of the model itself. */
export const prepareName = (artifact: Artifact): string => `${artifact.name}-prepare`;
export const ensembleName = (artifact: Artifact): string => `${artifact.name}-pictures`;

interface Io {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | string | null)[];
}

function pixelsOf({ pixels }: Preparation, artifact: Artifact): Io {
  const rows = artifact.inputs[0]?.shape?.[0];
  return { name: 'pixels', dtype: 'uint8', shape: [typeof rows === 'number' ? rows : null, ...pixels] };
}

function prepareConfig(artifact: Artifact, known: Preparation, options: TritonOptions, batch: number): string {
  const [input] = artifact.inputs;
  const prepared: Io = { name: 'prepared', dtype: input?.dtype ?? 'float32', shape: input?.shape ?? [] };
  return `${[
    `name: ${quote(prepareName(artifact))}`,
    'backend: "onnxruntime"',
    `max_batch_size: ${batch}`,
    tensor('input', pixelsOf(known, artifact), batch > 0, false),
    tensor('output', prepared, batch > 0, false),
    `instance_group [\n  {\n    kind: KIND_CPU\n    count: ${options.instances}\n  }\n]`,
    'parameters { key: "intra_op_thread_count" value: { string_value: "1" } }',
  ].join('\n')}\n`;
}

function mapped(key: string, value: string): string {
  return `{ key: ${quote(key)} value: ${quote(value)} }`;
}

function ensembleConfig(artifact: Artifact, known: Preparation, batch: number): string {
  const labelled = labelledOutput(artifact);
  const outputs = artifact.outputs.map(({ name }) => `      output_map ${mapped(name, name)}`);
  return `${[
    `name: ${quote(ensembleName(artifact))}`,
    'platform: "ensemble"',
    `max_batch_size: ${batch}`,
    tensor('input', pixelsOf(known, artifact), batch > 0, false),
    ...artifact.outputs.map((value) => tensor('output', value, batch > 0, value.name === labelled)),
    `ensemble_scheduling {
  step [
    {
      model_name: ${quote(prepareName(artifact))}
      model_version: -1
      input_map ${mapped('pixels', 'pixels')}
      output_map ${mapped('prepared', 'prepared')}
    },
    {
      model_name: ${quote(artifact.name)}
      model_version: -1
      input_map ${mapped(artifact.inputs[0]?.name ?? '', 'prepared')}
${outputs.join('\n')}
    }
  ]
}`,
  ].join('\n')}\n`;
}

/**
 * Pictures in, scores out: a model that prepares them, and an ensemble of it and the model. Nothing where the preparation is no
 * model (`preparation` says why), or the workshop that writes it is missing.
 */
export async function* ensembleFiles(
  artifact: Artifact,
  options: TritonOptions,
  root: string,
  batch: number,
): AsyncIterable<BundleFile> {
  const known = preparation(artifact);
  const bytes = typeof known === 'string' ? undefined : await artifact.workshop?.encoded?.(known.model);
  if (typeof known === 'string' || bytes === undefined) return;
  const [prepare, ensemble] = [`${root}/${prepareName(artifact)}`, `${root}/${ensembleName(artifact)}`];
  yield { path: `${prepare}/config.pbtxt`, bytes: prepareConfig(artifact, known, options, batch) };
  yield { path: `${prepare}/1/model.onnx`, bytes };
  yield { path: `${ensemble}/config.pbtxt`, bytes: ensembleConfig(artifact, known, batch) };
  // An ensemble has no file, and Triton wants the folder of its version all the same.
  yield { path: `${ensemble}/1/ensemble.txt`, bytes: 'The steps are in ../config.pbtxt.\n' };
  if (labelledOutput(artifact) !== undefined)
    yield { path: `${ensemble}/labels.txt`, bytes: labelLines(artifact.labels ?? []) };
}
