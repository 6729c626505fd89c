import type { Artifact } from '../../src/target/target.ts';
import { type MilGraph, weightBytes } from './graph.ts';

/** README.md of the bundle. */
export function readme(
  artifact: Artifact,
  graph: MilGraph,
  { names, precision }: { readonly names: Readonly<Record<string, string>>; readonly precision: string },
): string {
  const row =
    (side: string) =>
    ({ name, type, shape }: MilGraph['inputs'][number]): string => {
      const own = names[name];
      return `| ${side} \`${name}\`${own === name ? '' : ` (\`${own}\`)`} | ${type === 'int32' ? 'int32' : 'float32'} | [${shape.join(', ')}] |`;
    };
  const [input] = graph.inputs;
  const [output] = graph.outputs;
  const count = graph.ops.filter(({ type }) => type !== 'const').length;
  return `# ${artifact.name}: Core ML

The \`${artifact.variant}\` variant of \`${artifact.name}\` as \`model.mlpackage\`, an ML program for iOS 15, macOS 12 and later, written directly from ONNX (\`source/\`).

**Experimental: this package has not been executed by Core ML.** It was written without Apple's tools, on no Apple machine. What was checked: every field of the
format, every name, every weight, every parameter against coremltools' definitions, and the golden cases in an interpreter of mlpack that computes what these
definitions say. Run the golden cases on a Mac before you ship it (below). \`--target mobile\` holds the model as ONNX Runtime runs it on iOS, Core ML included.

| | type | shape |
|---|---|---|
${[...graph.inputs.map(row('input')), ...graph.outputs.map(row('output'))].join('\n')}

Shapes are fixed. ${count} operations in ${precision}, ${(weightBytes(graph) / 1e6).toFixed(2)} MB of weights; \`conversion.json\` counts all. With \`--option precision=float16\` the program
computes in halves, which the Neural Engine needs; \`--option precision=float32\` is what the golden cases agree with closest.

## In an app

Drag \`model.mlpackage\` into Xcode, which compiles it and makes a class, or:

\`\`\`swift
import CoreML

let compiled = try await MLModel.compileModel(at: packageURL)
let configuration = MLModelConfiguration()
configuration.computeUnits = .all
let model = try MLModel(contentsOf: compiled, configuration: configuration)
let input = try MLMultiArray(shape: [${input?.shape.join(', ')}], dataType: .${input?.type === 'int32' ? 'int32' : 'float32'})
// … fill it …
let outputs = try await model.prediction(from: MLDictionaryFeatureProvider(dictionary: ["${input?.name}": input]))
let result = outputs.featureValue(for: "${output?.name}")?.multiArrayValue
\`\`\`

## On a Mac, before you ship it

\`\`\`python
import json, numpy as np, coremltools as ct    # on macOS: predict needs Core ML
model, names = ct.models.MLModel("model.mlpackage"), json.load(open("conversion.json"))["names"]
for case in json.load(open("mlpack.json"))["golden"]:
    load = lambda t: np.fromfile(t["file"], t["dtype"]).reshape(t["shape"])
    given = {t["name"]: load(t) for t in case["inputs"]}
    want = {t["name"]: load(t) for t in case["outputs"]}
    got = model.predict({k: given[v].astype(np.int32 if given[v].dtype == np.int64 else given[v].dtype) for k, v in names.items() if v in given})
    print({k: float(np.abs(got[k] - want[v]).max()) for k, v in names.items() if v in want})
\`\`\`
`;
}
