import type { Artifact } from '../../src/target/target.ts';
import { modelFolder } from './ort-package.ts';

type Dims = readonly (number | string | null)[];

/** `1x3x224x224`, every free dimension at `size`. */
function shapeText(shape: Dims, size: number): string {
  return shape.map((dim) => (typeof dim === 'number' ? dim : size)).join('x');
}

/** trtexec's three shapes for inputs that vary: what it must take, what it is tuned for, the most it will see. */
function profile({ inputs, golden }: Artifact): string[] {
  const free = inputs.filter(({ shape }) => shape?.some((dim) => typeof dim !== 'number'));
  if (free.length === 0) return [];
  const recorded = (name: string): string =>
    golden[0]?.inputs.find((tensor) => tensor.name === name)?.shape.join('x') ?? '';
  const list = (text: (name: string, shape: Dims) => string): string =>
    free.map(({ name, shape }) => `${name}:${text(name, shape ?? [])}`).join(',');
  return [
    `--minShapes='${list((_, shape) => shapeText(shape, 1))}'`,
    `--optShapes='${list((name, shape) => recorded(name) || shapeText(shape, 1))}'`,
    `--maxShapes='${list((name, shape) => recorded(name) || shapeText(shape, 1))}'`,
  ];
}

/** ACCELERATORS.md: commands for hardware that mlpack does not have. Nothing in it was run by mlpack, and it says so. */
export function accelerators(artifact: Artifact): string {
  const { name } = artifact;
  const model = `${modelFolder(artifact)}/model.onnx`;
  const quantized = (artifact.ops.QuantizeLinear ?? 0) > 0;
  const precision = quantized ? '--int8 --fp16' : '--fp16';
  const inputs = artifact.inputs
    .map(
      ({ name: one, shape }) =>
        `${one}[${(shape ?? []).map((dim) => (typeof dim === 'number' ? dim : '?')).join(',')}]`,
    )
    .join(',');
  const trt = [
    `/usr/src/tensorrt/bin/trtexec --onnx=${model}`,
    ...profile(artifact),
    precision,
    '--saveEngine=engine-cache/model.plan',
    '--timingCacheFile=engine-cache/timing.cache',
    '--skipInference',
  ].join(' \\\n  ');
  return `# Accelerators

Commands for hardware that was not there when this bundle was made: none of them was run. Run them on the device; hold the outcome against the recorded cases
in \`golden/\` before you rely on it.

## NVIDIA Jetson (TensorRT)

An engine fits one GPU and one version of TensorRT, so the bundle carries none. Build it on the device, once for each JetPack:

\`\`\`sh
mkdir -p engine-cache
${trt}
\`\`\`

${quantized ? 'The model has QuantizeLinear nodes: TensorRT takes its scales, which need zero points of 0.' : 'Without calibration data TensorRT computes in 16-bit floats; for int8 give it a model made by `quantize-static` (symmetric, QDQ).'}
\`--memPoolSize=workspace:512\` (MiB) limits what the builder takes on small modules.

**In ONNX Runtime** (a build with TensorRT, as NVIDIA ships for JetPack) the provider makes and keeps the engine itself:

\`\`\`
trt_engine_cache_enable=1  trt_engine_cache_path=engine-cache  trt_timing_cache_enable=1  trt_timing_cache_path=engine-cache
\`\`\`

The plan for that cache:

| when | what happens |
|---|---|
| first start of a model, of a JetPack or of a GPU | the engine is built, minutes on a Nano: start it in the background, serve from the CPU until then |
| later starts | read from \`engine-cache\` in a second or so |
| a new version of the model | the file name carries a hash of the graph: another engine beside the old one. Delete files that no slot's model names |
| a new JetPack | delete the folder |

Keep \`engine-cache\` outside of the slots that updates replace (\`/var/cache/${name}\`), owned by the service alone: an engine is code.

## Intel (OpenVINO)

\`\`\`sh
ovc ${model} --input '${inputs}' --output_model openvino/model      # openvino/model.xml, openvino/model.bin
benchmark_app -m openvino/model.xml -d CPU -hint latency
\`\`\`

OpenVINO also reads the ONNX file as it is: \`openvino.Core().compile_model("${model}", "CPU")\`. In ONNX Runtime: provider \`OpenVINOExecutionProvider\`, \`device_type=CPU|GPU|NPU\`,
\`cache_dir=/var/cache/${name}\`. The NPU wants fixed shapes.

## Raspberry Pi and other arm64 boards

\`npm ci --omit=dev\` takes the arm64 library (25 MB) by itself. 32-bit systems have no build of onnxruntime-node: \`--target embedded-c\`, or a build of ONNX Runtime with \`--lang c\`.
`;
}
