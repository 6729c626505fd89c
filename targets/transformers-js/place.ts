import type { Artifact } from '../../src/target/target.ts';
import { type Dtype, dtypes } from './names.ts';

/** A variant under the name that transformers.js looks for. */
export interface Placed {
  readonly dtype: Dtype;
  /** `model`, or which of the files that make up the model: `encoder_model`. */
  readonly part: string;
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

/** The variants of one part, each under the first name that it can take. */
function placePart(part: string, all: readonly Artifact[]): Placed[] {
  return dtypes.flatMap(({ dtype, suffix, variants }) => {
    const own = variants.flatMap((name) => all.find(({ variant }) => variant === name) ?? [])[0];
    const artifact = own ?? (dtype === 'q8' ? quantizedOf(all) : undefined);
    return artifact ? [{ dtype, part, path: `onnx/${part}${suffix}.onnx`, artifact }] : [];
  });
}

/** `model`, as most are called. */
export const partOf = ({ part = 'model' }: Artifact): string => part;

export interface Places {
  readonly placed: readonly Placed[];
  readonly parts: readonly string[];
  /** Variants that have no name in transformers.js. */
  readonly left: readonly string[];
  /** What some parts have and others lack: transformers.js opens all of them with one dtype. */
  readonly partial: readonly Dtype[];
}

/**
 * Where each variant goes. The model as it came is `model.onnx`, or its part under the part's name; of several for one name the first counts,
 * and those that have no name are left out, as is a dtype that not every part has.
 */
export function placeAll(artifact: Artifact): Places {
  const all = [artifact, ...(artifact.others ?? [])];
  const parts = [...new Set(all.map(partOf))];
  const found = parts.flatMap((part) =>
    placePart(
      part,
      all.filter((one) => partOf(one) === part),
    ),
  );
  const isWhole = (wanted: Dtype): boolean => found.filter(({ dtype }) => dtype === wanted).length === parts.length;
  const taken = new Set(found.map((one) => one.artifact));
  return {
    placed: found.filter(({ dtype }) => isWhole(dtype)),
    parts,
    left: all.filter((one) => !taken.has(one)).map(({ variant }) => variant),
    partial: [...new Set(found.map(({ dtype }) => dtype))].filter((dtype) => !isWhole(dtype)),
  };
}

/** Names that the data files of a variant have to have; the model itself says them, so they cannot be changed here. */
export function dataProblem({ path, artifact }: Placed): string | undefined {
  const own = path.slice(path.lastIndexOf('/') + 1);
  const wrong = artifact.files.slice(1).find(({ name }, n) => name !== `${own}_data${n === 0 ? '' : `_${n}`}`);
  if (!wrong) return undefined;
  return `${artifact.variant} keeps its weights in "${wrong.name}", and transformers.js looks for "${own}_data": save it with that name (mlpack optimize --naming transformers-js does).`;
}
