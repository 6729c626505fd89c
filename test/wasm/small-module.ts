import { join, named, type Piece, signed, sized, unsigned, vector } from '../../src/wasm/bytes.ts';
import { sections } from '../../src/wasm/module.ts';

const i32 = 0x7f;

type Imports = Readonly<Record<string, unknown>>;

/** Node's types lack what tests need of it. */
export const wasm = (
  globalThis as unknown as {
    WebAssembly: {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object, imports: Imports) => { exports: Readonly<Record<string, unknown>> };
      Memory: new (limits: { initial: number; maximum: number }) => object;
    };
  }
).WebAssembly;

export interface WasmTable {
  set(place: number, run: unknown): void;
}

/** What a test may have otherwise. */
export interface Twist {
  /** Instructions at the beginning of `cold`. */
  readonly inCold?: Piece;
  readonly exportName?: string;
  readonly tables?: number;
}

const get = (local: number): Piece => [0x20, local];
const call = (index: number): Piece => [0x10, unsigned(index)];
const body = (...code: Piece[]): Piece => sized([0, code, 0x0b]);

/**
 * A module with everything that splitting has to mind: an imported function (0), memory, a passive segment that the start function lays out, a global, a
 * table with holes. Defined functions, by their number:
 *
 *   0 start()     memory[16] = 'A' from the segment
 *   1 hot(a)      a + 1; also in the table at 2
 *   2 cold(a)     log(a); count += 1; hot(deep(a))
 *   3 deep(a)     a * 3, reached by cold alone
 *   4 byTable(a)  a * 100, in the table at 3 alone
 *   5 main(a, b)  b == 0 ? hot(a) : b == 1 ? cold(a) : table[b](a)
 *   6 letter()    memory[16]
 */
export function smallModule({ inCold = [], exportName = 'main', tables = 1 }: Twist = {}): Uint8Array {
  const section = (id: number, piece: Piece): Piece => [id, sized(piece)];
  const typeA = 0; // (i32) → (i32)
  const main = [
    [get(1), 0x45, 0x04, i32, get(0), call(2), 0x05],
    [get(1), 0x41, 1, 0x46, 0x04, i32, get(0), call(3), 0x05],
    [get(0), get(1), 0x11, typeA, 0, 0x0b, 0x0b],
  ];
  return join([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    section(
      sections.type,
      vector([
        [0x60, 1, i32, 1, i32],
        [0x60, 1, i32, 0],
        [0x60, 0, 0],
        [0x60, 2, i32, i32, 1, i32],
        [0x60, 0, 1, i32],
      ]),
    ),
    section(
      sections.import,
      vector([
        [named('e'), named('log'), 0, 1],
        [named('e'), named('m'), 2, 1, 1, 2],
      ]),
    ),
    section(sections.function, vector([2, 0, 0, 0, 0, 3, 4])),
    section(sections.table, vector(Array.from({ length: tables }, () => [0x70, 1, 4, 4]))),
    section(sections.global, vector([[i32, 1, 0x41, 0, 0x0b]])),
    section(
      sections.export,
      vector([
        [named(exportName), 0, 6],
        [named('letter'), 0, 7],
        [named('count'), 3, 0],
        [named('table'), 1, 0],
      ]),
    ),
    section(sections.start, 1),
    section(sections.element, vector([[0, 0x41, 2, 0x0b, vector([2, 5])]])),
    section(sections.dataCount, 1),
    section(
      sections.code,
      vector([
        body(0x41, 16, 0x41, 0, 0x41, 1, 0xfc, 8, 0, 0),
        body(get(0), 0x41, 1, 0x6a),
        body(inCold, get(0), call(0), 0x23, 0, 0x41, 1, 0x6a, 0x24, 0, get(0), call(4), call(2)),
        body(get(0), 0x41, 3, 0x6c),
        body(get(0), 0x41, signed(100), 0x6c),
        body(main),
        body(0x41, 16, 0x2d, 0, 0),
      ]),
    ),
    section(sections.data, vector([[1, named('A')]])),
  ]);
}

/** A function of JavaScript as a table takes it. */
export function forTable(run: (n: number) => void, parameters: number): unknown {
  const passing = join([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    [sections.type, sized([1, 0x60, vector(Array.from({ length: parameters }, () => i32)), 0])],
    [sections.import, sized([1, named('a'), named('a'), 0, 0])],
    [sections.export, sized([1, named('a'), 0, 0])],
  ]);
  return new wasm.Instance(new wasm.Module(passing), { a: { a: run } }).exports.a;
}
