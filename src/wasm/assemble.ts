import { join, named, type Piece, signed, sized, unsigned, vector } from './bytes.ts';
import { sections } from './module.ts';

/** Types of values, by their bytes in the binary format. */
export const types = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export const get = (local: number): Piece => [0x20, unsigned(local)];
export const set = (local: number): Piece => [0x21, unsigned(local)];
export const tee = (local: number): Piece => [0x22, unsigned(local)];
export const number = (value: number): Piece => [0x41, signed(value)];
export const add = 0x6a;

/** Instructions on 128 bits, by their numbers in the specification. */
export const simd = (op: number): Piece => [0xfd, unsigned(op)];
export const load = (offset: number): Piece => [simd(0), 4, unsigned(offset)];
export const store = (offset: number): Piece => [simd(11), 4, unsigned(offset)];
export const constant = (words: ArrayBufferView): Piece => [
  simd(12),
  new Uint8Array(words.buffer, words.byteOffset, words.byteLength),
];

/** `body` with `at` going from its value by `step` to below the address in the local `to`; once at least. */
export function loopOver(at: number, step: number, to: number, body: Piece): Piece {
  const [loop, nothing, end, branchIf, below] = [0x03, 0x40, 0x0b, 0x0d, 0x49];
  return [
    [loop, nothing, body],
    [get(at), number(step), add, tee(at), get(to), below, branchIf, 0, end],
  ];
}

export interface WasmFunction {
  readonly name: string;
  readonly parameters: readonly number[];
  /** How many of which type, numbered from behind the parameters. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Piece;
}

/** A module of functions without results that work on a memory of their own: exports them, and `memory`. */
export function moduleOf(pages: number, functions: readonly WasmFunction[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, items: readonly Piece[]): Piece => [id, sized(vector(items))];
  const body = ({ locals, code }: WasmFunction): Piece =>
    sized([vector(locals.map(([count, type]) => [unsigned(count), type])), code, 0x0b]);
  const piece: Piece = [
    [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(
      sections.type,
      functions.map(({ parameters }) => [0x60, vector(parameters), 0]),
    ),
    section(
      sections.function,
      functions.map((_, n) => unsigned(n)),
    ),
    section(sections.memory, [[0, unsigned(pages)]]),
    section(sections.export, [
      [named('memory'), 2, 0],
      ...functions.map(({ name }, n) => [named(name), 0, unsigned(n)]),
    ]),
    section(sections.code, functions.map(body)),
  ];
  return new Uint8Array(join(piece));
}

/** What is needed of the global of this name, which the types of Node leave to those of browsers. */
interface Wasm {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

/** @returns the exports; undefined where the processor lacks the instructions, or no memory is to be had */
export function instantiate(bytes: Uint8Array): object | undefined {
  const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Wasm };
  if (!WebAssembly.validate(bytes)) return undefined;
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as object;
  } catch (error) {
    // V8 reserves address space for each memory, which limits (ulimit -v) may refuse.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
