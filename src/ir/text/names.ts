import { type DType, dtypes } from '../dtype.ts';
import type { Dim, ValueType } from '../types.ts';
import { quote } from './scalar.ts';

/** Names that stand without quotes; everything else is a quoted string. Dots join a domain and an op. */
const bareName = /^[A-Za-z_%/][\w/%.]*$/;

/** Element type names of ONNX's text syntax; ours (`float32`, `float64`) are read too. */
const textNames: Partial<Record<DType, string>> = { float32: 'float', float64: 'double' };
const byText = new Map<string, DType>(
  dtypes.flatMap((dtype) => [
    [dtype, dtype],
    [textNames[dtype] ?? dtype, dtype],
  ]),
);
const typeWords = new Set(['seq', 'optional', 'map', 'sparse_tensor', 'opaque', ...byText.keys()]);

function dtypeText(dtype: DType): string {
  return textNames[dtype] ?? dtype;
}
export function dtypeFromText(text: string): DType | undefined {
  return byText.get(text);
}
/** Words that begin a type: a value of that name is written with quotes. */
export function isTypeWord(text: string): boolean {
  return typeWords.has(text);
}

export function nameText(name: string): string {
  return bareName.test(name) && !typeWords.has(name) ? name : quote(name);
}

/** Symbols and expressions stand as they are where that is unambiguous. */
const bareDim = /^[A-Za-z_][\w.]*$|^[\w.]+( ?[-+*/] ?[\w.]+)*$/;

/** Expressions with calls, `floor(x/2)`; nothing at their ends that a reader would trim or take for a sign. */
const bareCalls = /^(?=.*floor\()[\w.(](?:[\w.+*/() -]*[\w.)])?$/;

function dimText(dim: Dim): string {
  if (dim === undefined) return '?';
  if (typeof dim === 'number') return String(dim);
  const bare = (bareDim.test(dim) || (bareCalls.test(dim) && isBalanced(dim))) && !/^-?\d+$/.test(dim);
  return bare ? dim : quote(dim);
}

/** Each bracket has its other one: where they do not, a dimension would have no end, or end too soon. */
function isBalanced(dim: string): boolean {
  let depth = 0;
  for (const char of dim) {
    if (char === '(') depth++;
    else if (char === ')' && --depth < 0) return false;
  }
  return depth === 0;
}

/** `float[2,N]`, `float` for a scalar, `float[]` where even the rank is unknown (as in ONNX's syntax). */
export function typeText(type: ValueType): string {
  switch (type.kind) {
    case 'tensor': {
      const dtype = dtypeText(type.dtype);
      if (!type.shape) return `${dtype}[]`;
      return type.shape.length === 0 ? dtype : `${dtype}[${type.shape.map(dimText).join(',')}]`;
    }
    case 'sparse_tensor':
      return `sparse_tensor(${typeText({ ...type, kind: 'tensor' })})`;
    case 'sequence':
      return `seq(${typeText(type.element)})`;
    case 'optional':
      return `optional(${typeText(type.element)})`;
    case 'map':
      return `map(${dtypeText(type.key)}, ${typeText(type.value)})`;
    case 'opaque':
      return `opaque("${Array.from(type.bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}")`;
  }
}
