import { createHash } from 'node:crypto';
import type { Artifact, BundleFile } from '../../src/target/target.ts';

/** One execution provider, as ONNX Runtime names it, and what its session is told. */
interface Variant {
  readonly name: string;
  readonly ep: string;
  /**
   * Only where one provider has several: the library of 1.30 was tried, and with `device: cpu` it found no variant for its own CPU provider, whose
   * device it does not list.
   */
  readonly device?: 'cpu' | 'gpu' | 'npu';
  readonly session?: Readonly<Record<string, string>>;
  readonly provider?: Readonly<Record<string, string>>;
  /** Why this model is not offered to it, or undefined. */
  readonly without?: (artifact: Artifact) => boolean;
}

const cacheFolder = 'engine-cache';

/** Engines are built on the device, since a plan fits one GPU and one TensorRT; from the second start on they are read from this folder. */
const engineCache: Readonly<Record<string, string>> = {
  trt_engine_cache_enable: '1',
  trt_engine_cache_path: cacheFolder,
  trt_timing_cache_enable: '1',
  trt_timing_cache_path: cacheFolder,
};

function hasFreeDimensions({ inputs }: Artifact): boolean {
  return inputs.some(({ shape }) => shape === null || shape.some((dim) => typeof dim !== 'number'));
}

/** QNN's HTP backend takes fixed shapes, and computes in the integers that QDQ nodes give it. */
function notForQnn(artifact: Artifact): boolean {
  return hasFreeDimensions(artifact) || (artifact.ops.QuantizeLinear ?? 0) === 0;
}

/** In the order of ties: ONNX Runtime takes the first of equals. */
const variants: readonly Variant[] = [
  { name: 'tensorrt', ep: 'TensorrtExecutionProvider', provider: engineCache },
  { name: 'cuda', ep: 'CUDAExecutionProvider' },
  { name: 'openvino-npu', ep: 'OpenVINOExecutionProvider', device: 'npu', without: hasFreeDimensions },
  { name: 'openvino-gpu', ep: 'OpenVINOExecutionProvider', device: 'gpu' },
  { name: 'openvino-cpu', ep: 'OpenVINOExecutionProvider', device: 'cpu' },
  { name: 'qnn', ep: 'QNNExecutionProvider', without: notForQnn },
  { name: 'webgpu', ep: 'WebGpuExecutionProvider' },
  { name: 'coreml', ep: 'CoreMLExecutionProvider', provider: { ModelFormat: 'MLProgram' } },
  { name: 'cpu', ep: 'CPUExecutionProvider' },
];

/** Folder of the package in the bundle. */
export function packageFolder({ name }: Artifact): string {
  return `${name}.ortpackage`;
}

/** What names a shared folder in ONNX Runtime's model packages: SHA-256 over the sorted lines `<file digest>  <path>`. */
function folderDigest({ files }: Artifact): string {
  const lines = files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** Where the package keeps the model files, which all variants share; relative to the bundle. */
export function modelFolder(artifact: Artifact): string {
  return `${packageFolder(artifact)}/shared_assets/sha256-${folderDigest(artifact)}`;
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * A model package of ONNX Runtime (schema 1.0, portable layout): `OrtModelPackageApi` picks the variant of the first provider that a program asks for.
 * One copy of the model, shared by all variants.
 */
export function* ortPackage(artifact: Artifact): Iterable<BundleFile> {
  const root = packageFolder(artifact);
  const uri = `sha256:${folderDigest(artifact)}`;
  const offered = variants.filter(({ without }) => !without?.(artifact));
  yield {
    path: `${root}/manifest.json`,
    bytes: json({
      schema_version: '1.0',
      package_name: artifact.name,
      package_version: artifact.release?.version ?? '1.0.0',
      components: { [artifact.name]: `models/${artifact.name}` },
    }),
  };
  const entries = offered.map(({ name, ep, device }) => [
    name,
    { variant_directory: name, ep, ...(device && { device }), executor_info: { ort: 'ort_info.json' } },
  ]);
  yield {
    path: `${root}/models/${artifact.name}/component.json`,
    bytes: json({ component_name: artifact.name, variants: Object.fromEntries(entries) }),
  };
  for (const { name, session, provider } of offered) {
    yield {
      path: `${root}/models/${artifact.name}/${name}/ort_info.json`,
      bytes: json({
        model_file: `${uri}/model.onnx`,
        ...(session && { session_options: session }),
        ...(provider && { provider_options: provider }),
      }),
    };
  }
  for (const { name, source } of artifact.files) yield { path: `${modelFolder(artifact)}/${name}`, from: source };
}
