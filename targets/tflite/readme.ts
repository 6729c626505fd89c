import type { Artifact } from '../../src/target/target.ts';
import type { LiteGraph } from './graph.ts';

interface ReadmeInput {
  readonly axes: Readonly<Record<string, readonly number[]>>;
  readonly metadata: boolean;
  readonly weights: string;
}

/** README.md of the bundle. */
export function readme(artifact: Artifact, graph: LiteGraph, { axes, metadata, weights }: ReadmeInput): string {
  const row = (at: number): string => {
    const { name, type, shape } = graph.tensors[at] ?? { name: '', type: '', shape: [] };
    return `| \`${name}\` | ${type} | [${shape.join(', ')}]${axes[name] ? ', channels last' : ''} |`;
  };
  const transposes = graph.count('TRANSPOSE');
  return `# ${artifact.name}: TensorFlow Lite

The \`${artifact.variant}\` variant of \`${artifact.name}\` as \`model.tflite\`, written directly from ONNX (\`source/\`), for LiteRT, TensorFlow
Lite and${metadata ? '' : ' (without metadata)'} MediaPipe Tasks.

| | type | shape |
|---|---|---|
${[...graph.inputs, ...graph.outputs].map(row).join('\n')}

Shapes are fixed. ${graph.ops.length} operators, ${transposes} of them transposes; \`conversion.json\` counts all. Float weights are stored as ${weights}.

\`npx mlpack check .\` reads the file, checks it and replays the golden cases with mlpack's own reference interpreter (golden inputs are
in the model's order of axes and are reordered as \`mlpack.json\` says).

\`\`\`python
import numpy as np, tensorflow as tf           # or ai_edge_litert.interpreter
it = tf.lite.Interpreter("model.tflite"); it.allocate_tensors()
it.set_tensor(it.get_input_details()[0]["index"], x); it.invoke()
y = it.get_tensor(it.get_output_details()[0]["index"])
\`\`\`
${metadata ? '\nThe file carries MediaPipe metadata: how pixels are normalized and, as an appended archive, the labels.\n' : ''}`;
}
