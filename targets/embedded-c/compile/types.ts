import type { DType } from '../../../src/ir/dtype.ts';
import type { Node } from '../../../src/ir/graph.ts';

/** Element types of the generated code, by ONNX type. Typedefs that may alias: tensors of all types share one arena. */
export const cTypes: Readonly<Partial<Record<DType, string>>> = {
  float32: 'f32',
  int8: 'i8',
  uint8: 'u8',
  bool: 'u8',
  int16: 'i16',
  uint16: 'u16',
  int32: 'i32',
  uint32: 'u32',
  int64: 'i64',
};

const sizes: Readonly<Record<string, number>> = { f32: 4, i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4, i64: 8 };

/** What stands in the way of compiling a model: a sentence for the user. */
export class CannotCompile extends Error {
  override readonly name = 'CannotCompile';
}

export function cannot(node: Node, why: string): never {
  throw new CannotCompile(`${node}: ${why}.`);
}

export type CType = string;

export function sizeOf(type: CType): number {
  return sizes[type] ?? 4;
}

/** Memory that a tensor is in. */
export interface Block {
  readonly id: number;
  readonly bytes: number;
  /** `arena` is planned; `input` and `output` belong to the caller; `constant` is in flash. */
  kind: 'arena' | 'input' | 'output' | 'constant';
  /** C expression of its address, for all but the arena. */
  name: string;
}

/** A tensor in memory: contiguous, row-major. Several may be views of one block. */
export interface Ref {
  readonly block: Block;
  readonly type: CType;
  readonly shape: readonly number[];
}

/** One piece of the program. `code` is asked for when every block has its address. */
export interface Step {
  readonly title: string;
  readonly reads: readonly Ref[];
  readonly writes: readonly Ref[];
  /** Memory that only this step uses. */
  readonly scratch?: Block;
  /** The first of `writes` may take the memory of these, where they die here. */
  readonly inPlace?: readonly Ref[];
  code(address: (ref: Ref | Block) => string): string;
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, dim) => product * dim, 1);
}

/** A float as a C literal that reads back to the same bits. */
export function floatLiteral(value: number): string {
  if (Number.isNaN(value)) return 'NAN';
  if (!Number.isFinite(value)) return value > 0 ? 'INFINITY' : '(-INFINITY)';
  const short = Math.fround(value);
  const text = Object.is(short, -0) ? '-0.0' : shortest(short);
  const withPoint = /[.e]/.test(text) ? text : `${text}.0`;
  return text.startsWith('-') ? `(${withPoint}f)` : `${withPoint}f`;
}

/** Nine significant digits always tell two floats apart; fewer often do. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(Number(value.toPrecision(9)));
}
