import type { IoInfo } from '../../src/report/report.ts';
import { literalText } from '../../src/target/literal.ts';
import type { Artifact } from '../../src/target/target.ts';

/** Element type → what JavaScript holds it in. */
const arrays: Readonly<Record<string, string>> = {
  float32: 'Float32Array',
  float64: 'Float64Array',
  float16: 'Uint16Array | Float16ArrayLike',
  int8: 'Int8Array',
  int16: 'Int16Array',
  int32: 'Int32Array',
  int64: 'BigInt64Array',
  uint8: 'Uint8Array',
  uint16: 'Uint16Array',
  uint32: 'Uint32Array',
  uint64: 'BigUint64Array',
  bool: 'Uint8Array',
  string: 'string[]',
};

function comment({ dtype, shape }: IoInfo): string {
  return `${dtype} ${shape === null ? 'of any shape' : `[${shape.map((dim) => dim ?? '?').join(', ')}]`}`;
}

function members(values: readonly IoInfo[], of: (value: IoInfo) => string): string {
  return values
    .map(
      (value) => `  /** ${comment(value).replaceAll('*/', '* /')} */\n  ${JSON.stringify(value.name)}: ${of(value)};\n`,
    )
    .join('');
}

function numbers(dtype: string): string {
  if (dtype === 'string') return 'readonly string[]';
  const list = dtype.endsWith('int64') ? 'readonly bigint[] | readonly number[]' : 'readonly number[]';
  return `${arrays[dtype] ?? 'Uint8Array'} | ${list}`;
}

/** index.d.ts with the model's own inputs, outputs and variants as types. */
export function indexTypes(artifact: Artifact): string {
  const variants = [artifact, ...(artifact.others ?? [])].map(({ variant }) => JSON.stringify(variant));
  const labels = artifact.labels;
  const own = `/** What the model is fed. */
export interface Inputs {
${members(artifact.inputs, ({ dtype }) => `Feed<${numbers(dtype)}>`)}}

/** What it gives. */
export interface Outputs {
${members(artifact.outputs, ({ dtype }) => `Output<${arrays[dtype] ?? 'Uint8Array'}>`)}}

export type VariantName = ${variants.join(' | ')};

export type Label = ${labels && labels.length <= 1000 ? labels.map((label) => JSON.stringify(label)).join(' | ') || 'string' : 'string'};
`;
  return literalText('browser', 'mlpack-model/index.d.ts').replace('/* own types */\n', () => own);
}
