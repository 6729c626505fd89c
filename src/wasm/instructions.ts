import { Reader, WasmFormError } from './bytes.ts';

/** An operand of an instruction that names something by its index: where it stands (LEB128), and what it says. */
export interface Reference {
  readonly what: 'function' | 'global';
  readonly from: number;
  readonly to: number;
  readonly index: number;
}

/** What the code of a function refers to. */
export interface CodeReferences {
  /** Where instructions begin, behind the locals. */
  readonly start: number;
  readonly references: readonly Reference[];
  /**
   * It uses something that belongs to this very module (segments), or takes functions as values, or looks at the table as a whole: such code
   * stays where it is.
   */
  readonly bound: boolean;
  /** It changes the table, or asks for its size: nobody may add to the table then. */
  readonly table: boolean;
}

/**
 * Reads the instructions of one function: WebAssembly 2.0 with SIMD, relaxed SIMD, threads and tail calls.
 * @throws WasmFormError at any instruction that is not known, since its operands are not known either.
 */
export function readCode(bytes: Uint8Array, from: number, to: number): CodeReferences {
  const reader = new Reader(bytes, from, to);
  reader.list(() => {
    reader.unsigned();
    reader.byte();
  });
  const start = reader.at;
  const references: Reference[] = [];
  let bound = false;
  let table = false;
  const refer = (what: Reference['what']): void => {
    const at = reader.at;
    references.push({ what, index: reader.unsigned(), from: at, to: reader.at });
  };
  while (!reader.done) {
    const op = reader.byte();
    if (op === 0x10 || op === 0x12) refer('function');
    else if (op === 0x23 || op === 0x24) refer('global');
    else if (op === 0xd2) {
      refer('function');
      bound = true;
    } else if (op === 0x25 || op === 0x26) {
      reader.skipNumber();
      bound = true;
      table = true;
    } else if (op === 0xfc) {
      const what = skipBulk(reader);
      bound ||= what !== 'plain';
      table ||= what === 'table';
    } else skipOperands(reader, op);
  }
  return { start, references, bound, table };
}

function skipOperands(reader: Reader, op: number): void {
  const shape = shapes[op];
  if (shape === undefined)
    throw new WasmFormError(`The module uses instruction 0x${op.toString(16)}, which is not known.`);
  if (shape === 'targets') {
    reader.list(() => reader.skipNumber());
    reader.skipNumber();
  } else if (shape === 'types') reader.list(() => reader.byte());
  else if (shape === 'vector') skipVector(reader);
  else if (shape === 'atomic') skipAtomic(reader);
  else if (shape < 0) reader.skip(-shape);
  else for (let n = 0; n < shape; n++) reader.skipNumber();
}

/** Operands of each opcode of one byte: how many numbers; or how many bytes, as a negative; or a form of its own. */
const shapes: readonly (number | 'targets' | 'types' | 'vector' | 'atomic' | undefined)[] = (() => {
  const table: (number | 'targets' | 'types' | 'vector' | 'atomic' | undefined)[] = Array(256).fill(undefined);
  const fill = (from: number, to: number, shape: (typeof table)[number]): void => {
    table.fill(shape, from, to + 1);
  };
  fill(0x00, 0x01, 0); // unreachable, nop
  fill(0x02, 0x04, 1); // block, loop, if
  table[0x05] = 0; // else
  table[0x0b] = 0; // end
  fill(0x0c, 0x0d, 1); // br, br_if
  table[0x0e] = 'targets'; // br_table
  table[0x0f] = 0; // return
  table[0x11] = 2; // call_indirect
  table[0x13] = 2; // return_call_indirect
  fill(0x1a, 0x1b, 0); // drop, select
  table[0x1c] = 'types'; // select with types
  fill(0x20, 0x22, 1); // local.get, set, tee
  fill(0x28, 0x3e, 2); // loads and stores
  fill(0x3f, 0x40, 1); // memory.size, grow
  fill(0x41, 0x42, 1); // i32.const, i64.const
  table[0x43] = -4; // f32.const
  table[0x44] = -8; // f64.const
  fill(0x45, 0xc4, 0); // numeric
  table[0xd0] = 1; // ref.null
  table[0xd1] = 0; // ref.is_null
  table[0xfd] = 'vector';
  table[0xfe] = 'atomic';
  return table;
})();

/** Prefix 0xfc: saturating conversions, bulk memory and tables. */
function skipBulk(reader: Reader): 'plain' | 'segment' | 'table' {
  const op = reader.unsigned();
  if (op <= 7) return 'plain';
  if (op > 17) throw new WasmFormError(`The module uses instruction 0xfc ${op}, which is not known.`);
  const operands = [2, 1, 2, 1, 2, 1, 2, 1, 1, 1][op - 8] ?? 0;
  for (let n = 0; n < operands; n++) reader.skipNumber();
  if (op === 10 || op === 11) return 'plain'; // memory.copy, memory.fill
  return op === 8 || op === 9 ? 'segment' : 'table';
}

/** Prefix 0xfd: 128-bit vectors. */
function skipVector(reader: Reader): void {
  const op = reader.unsigned();
  if (op > 0x113) throw new WasmFormError(`The module uses instruction 0xfd ${op}, which is not known.`);
  const memory = op <= 11 || (op >= 84 && op <= 93);
  if (memory) {
    reader.skipNumber();
    reader.skipNumber();
  }
  if (op === 12 || op === 13)
    reader.skip(16); // v128.const, i8x16.shuffle
  else if ((op >= 21 && op <= 34) || (op >= 84 && op <= 91)) reader.skip(1); // a lane
}

/** Prefix 0xfe: atomics. */
function skipAtomic(reader: Reader): void {
  const op = reader.unsigned();
  if (op > 0x4e) throw new WasmFormError(`The module uses instruction 0xfe ${op}, which is not known.`);
  if (op === 3)
    reader.skip(1); // atomic.fence
  else {
    reader.skipNumber();
    reader.skipNumber();
  }
}
