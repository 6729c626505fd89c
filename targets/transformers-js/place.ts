import type { Artifact } from '../../src/target/target.ts';
import { type Dtype, dtypes } from './names.ts';

/** A variant under the name that transformers.js looks for. */
export interface Placed {
  readonly dtype: Dtype;
  /** `onnx/model_q4.onnx` */
  readonly path: string;
  readonly artifact: Artifact;
}

/** `q8`: unsigned weights for convolutions, for which WebAssembly has no fast signed kernels (measured: ×0.18 against ×2.05 of float32). */
function quantizedOf(all: readonly Artifact[]): Artifact | undefined {
  const named = (name: string): Artifact | undefined => all.find(({ variant }) => variant === name);
  const convolves = all.some(({ ops }) => (ops.Conv ?? 0) + (ops.ConvInteger ?? 0) > 0);
  return convolves ? (named('uint8') ?? named('int8')) : (named('int8') ?? named('uint8'));
}

/**
 * Where each variant goes. The model as it came is `model.onnx`; of several for one name the first counts, and those that have no
 * name are left out.
 */
export function placeAll(artifact: Artifact): { placed: Placed[]; left: string[] } {
  const all = [artifact, ...(artifact.others ?? [])];
  const placed: Placed[] = [];
  for (const { dtype, suffix, variants } of dtypes) {
    const own = variants.flatMap((name) => all.find(({ variant }) => variant === name) ?? [])[0];
    const found = own ?? (dtype === 'q8' ? quantizedOf(all) : undefined);
    if (found) placed.push({ dtype, path: `onnx/model${suffix}.onnx`, artifact: found });
  }
  const taken = new Set(placed.map((one) => one.artifact.variant));
  return { placed, left: all.map(({ variant }) => variant).filter((variant) => !taken.has(variant)) };
}

/** Names that the data files of a variant have to have; the model itself says them, so they cannot be changed here. */
export function dataProblem({ path, artifact }: Placed): string | undefined {
  const own = path.slice(path.lastIndexOf('/') + 1);
  const wrong = artifact.files.slice(1).find(({ name }, n) => name !== `${own}_data${n === 0 ? '' : `_${n}`}`);
  if (!wrong) return undefined;
  return `${artifact.variant} keeps its weights in "${wrong.name}", and transformers.js looks for "${own}_data": save it with that name (mlpack optimize --naming transformers-js does).`;
}
