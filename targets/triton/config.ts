import type { IoInfo } from '../../src/report/report.ts';
import type { Artifact } from '../../src/target/target.ts';

/** ONNX element type → Triton's name. Its ONNX Runtime backend exchanges no bfloat16. */
const types: Readonly<Record<string, string>> = {
  bool: 'TYPE_BOOL',
  string: 'TYPE_STRING',
  float16: 'TYPE_FP16',
  float32: 'TYPE_FP32',
  float64: 'TYPE_FP64',
  int8: 'TYPE_INT8',
  int16: 'TYPE_INT16',
  int32: 'TYPE_INT32',
  int64: 'TYPE_INT64',
  uint8: 'TYPE_UINT8',
  uint16: 'TYPE_UINT16',
  uint32: 'TYPE_UINT32',
  uint64: 'TYPE_UINT64',
};

export interface TritonOptions {
  readonly maxBatch: number;
  readonly delayUs: number;
  readonly instances: number;
  readonly threads: number;
  readonly kind: 'cpu' | 'gpu';
  readonly ensemble: boolean;
}

/** A string of protobuf's text format. */
export function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`;
}

/** With max_batch_size above 0 Triton asks every input and output for a first dimension that varies, else it does not load. */
export function batchObjection({ inputs, outputs }: Artifact): string | undefined {
  const fixed = [...inputs, ...outputs].find(
    ({ shape }) => shape === null || shape.length === 0 || typeof shape[0] === 'number',
  );
  return fixed && `"${fixed.name}" has no first dimension that varies`;
}

function dims({ shape }: IoInfo, batched: boolean): string {
  const rest = (shape ?? [null]).slice(batched ? 1 : 0).map((dim) => (typeof dim === 'number' ? dim : -1));
  // Triton knows no tensor without dimensions: one of one element that is reshaped to none stands for it.
  return rest.length > 0 ? `dims: [${rest.join(', ')}]` : 'dims: [1]\n    reshape { shape: [] }';
}

export function tensor(kind: 'input' | 'output', value: IoInfo, batched: boolean, labels: boolean): string {
  const label = labels ? '\n    label_filename: "labels.txt"' : '';
  return `${kind} [\n  {\n    name: ${quote(value.name)}\n    data_type: ${types[value.dtype]}\n    ${dims(value, batched)}${label}\n  }\n]`;
}

/** The output whose last dimension counts the labels, for Triton's classification extension. */
export function labelledOutput({ labels, outputs }: Artifact): string | undefined {
  if (labels === undefined || labels.length === 0) return undefined;
  return outputs.find(({ shape }) => shape?.length === 2 && shape[1] === labels.length)?.name;
}

/** Recorded inputs as files of the repository, so that a version is called ready when it has answered them. */
function warmUp(artifact: Artifact, batched: boolean): string[] {
  const [first] = artifact.golden;
  if (first === undefined) return [];
  const batch = batched ? (first.inputs[0]?.shape[0] ?? 1) : 0;
  if (batched && (batch === 0 || first.inputs.some(({ shape }) => shape[0] !== batch))) return [];
  const inputs = first.inputs.map(({ name, dtype, shape }, i) => {
    const rest = shape.slice(batched ? 1 : 0);
    return `  inputs {\n    key: ${quote(name)}\n    value {\n      data_type: ${types[dtype]}\n      dims: [${rest.length > 0 ? rest.join(', ') : 1}]\n      input_data_file: "input-${i}"\n    }\n  }`;
  });
  return [`model_warmup {\n  name: "golden"\n  batch_size: ${batch}\n  count: 1\n${inputs.join('\n')}\n}`];
}

/** `config.pbtxt`. `batch` 0: one request is one run, of the whole shape. */
export function modelConfig(artifact: Artifact, options: TritonOptions, batch: number): string {
  const batched = batch > 0;
  const labelled = labelledOutput(artifact);
  const blocks = [
    `name: ${quote(artifact.name)}`,
    'backend: "onnxruntime"',
    `max_batch_size: ${batch}`,
    ...artifact.inputs.map((value) => tensor('input', value, batched, false)),
    ...artifact.outputs.map((value) => tensor('output', value, batched, value.name === labelled)),
    'version_policy { latest { num_versions: 2 } }',
    `instance_group [\n  {\n    kind: ${options.kind === 'gpu' ? 'KIND_GPU' : 'KIND_CPU'}\n    count: ${options.instances}\n  }\n]`,
    ...(batch > 1
      ? [
          `dynamic_batching {\n  preferred_batch_size: [${batch}]\n  max_queue_delay_microseconds: ${options.delayUs}\n  default_queue_policy {\n    timeout_action: REJECT\n    default_timeout_microseconds: 10000000\n    max_queue_size: 256\n  }\n}`,
        ]
      : []),
    ...warmUp(artifact, batched),
    `parameters { key: "intra_op_thread_count" value: { string_value: "${options.threads}" } }`,
  ];
  return `${blocks.join('\n')}\n`;
}

export function tritonType(dtype: string): string | undefined {
  return types[dtype];
}
