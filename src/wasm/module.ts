import { Reader, WasmFormError } from './bytes.ts';

/** Section numbers of the binary format, in the order in which sections stand in a file (tags and the data count before what needs them). */
export const sections = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
} as const;

export type SectionName = keyof typeof sections;

/** Kinds of imports and exports. */
export const kinds = { function: 0, table: 1, memory: 2, global: 3 } as const;

export interface FunctionType {
  readonly parameters: number;
}

export interface Import {
  readonly kind: number;
  /** The whole entry. */
  readonly bytes: Uint8Array;
  /** Of a function: its type. */
  readonly type: number;
}

export interface Export {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

/** An active segment of functions for table 0. */
export interface ElementSegment {
  readonly functions: readonly number[];
}

/** Where a function's code lies in the module: locals and instructions, without the length that stands before them. */
export interface Body {
  readonly start: number;
  readonly end: number;
}

/** A module taken apart as far as splitting needs it; indices are those of its index spaces (imports first). */
export interface WasmModule {
  readonly bytes: Uint8Array;
  readonly sections: readonly { readonly id: number; readonly start: number; readonly end: number }[];
  readonly types: readonly FunctionType[];
  readonly imports: readonly Import[];
  /** Imported functions come first in the index space. */
  readonly importedFunctions: number;
  readonly importedGlobals: number;
  /** Type of each defined function. */
  readonly functions: readonly number[];
  readonly bodies: readonly Body[];
  /** Limits of the one table of functions. */
  readonly table: { readonly min: number; readonly max: number | undefined };
  /** Type (value type and mutability) of each defined global. */
  readonly globals: readonly (readonly [type: number, mutable: number])[];
  readonly exports: readonly Export[];
  readonly start: number | undefined;
  readonly elements: readonly ElementSegment[];
}

const functionType = 0x60;
const funcref = 0x70;

/**
 * Takes a module apart.
 * @throws WasmFormError where it is damaged, or of a form that is not understood: several tables, types of garbage collection, tags.
 */
export function parseModule(bytes: Uint8Array): WasmModule {
  const head = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  if (head.some((byte, n) => bytes[n] !== byte)) throw new WasmFormError('These bytes are no WebAssembly module.');
  const found: { id: number; start: number; end: number }[] = [];
  const reader = new Reader(bytes, head.length);
  while (!reader.done) {
    const id = reader.byte();
    const size = reader.unsigned();
    if (id > sections.dataCount) throw new WasmFormError(`The module has a section of kind ${id}, which is not known.`);
    found.push({ id, start: reader.at, end: reader.at + size });
    reader.skip(size);
  }
  const within = (name: SectionName): Reader => {
    const section = found.find(({ id }) => id === sections[name]);
    return section ? new Reader(bytes, section.start, section.end) : new Reader(Uint8Array.of(0));
  };
  const imports = readImports(within('import'));
  const start = found.some(({ id }) => id === sections.start) ? within('start').unsigned() : undefined;
  const code = within('code');
  const bodies = code.list((): Body => {
    const size = code.unsigned();
    code.skip(size);
    return { start: code.at - size, end: code.at };
  });
  const functionReader = within('function');
  const functions = functionReader.list(() => functionReader.unsigned());
  if (functions.length !== bodies.length) throw new WasmFormError('The module has other functions than code.');
  return {
    bytes,
    sections: found,
    types: readTypes(within('type')),
    imports,
    importedFunctions: imports.filter(({ kind }) => kind === kinds.function).length,
    importedGlobals: imports.filter(({ kind }) => kind === kinds.global).length,
    functions,
    bodies,
    table: readTable(within('table')),
    globals: readGlobals(within('global')),
    exports: readExports(within('export')),
    start,
    elements: readElements(within('element')),
  };
}

function readTypes(reader: Reader): FunctionType[] {
  return reader.list(() => {
    if (reader.byte() !== functionType) throw new WasmFormError('The module has types that are not of functions.');
    const parameters = reader.list(() => reader.byte()).length;
    reader.list(() => reader.byte());
    return { parameters };
  });
}

function readImports(reader: Reader): Import[] {
  return reader.list(() => {
    const start = reader.at;
    reader.name();
    reader.name();
    const kind = reader.byte();
    let type = -1;
    if (kind === kinds.function) type = reader.unsigned();
    else if (kind === kinds.memory) readLimits(reader);
    else if (kind === kinds.global) reader.skip(2);
    else throw new WasmFormError('The module imports a table or a tag.');
    return { kind, type, bytes: reader.bytes.subarray(start, reader.at) };
  });
}

/** Bit 0 says that there is an upper limit; bit 1, of memories, that they are shared. */
function readLimits(reader: Reader): { min: number; max: number | undefined } {
  const flags = reader.byte();
  if (flags > 3) throw new WasmFormError('The module has 64-bit memories.');
  return { min: reader.unsigned(), max: flags & 1 ? reader.unsigned() : undefined };
}

function readTable(reader: Reader): WasmModule['table'] {
  const tables = reader.list(() => {
    if (reader.byte() !== funcref) throw new WasmFormError('The module has a table of something other than functions.');
    return readLimits(reader);
  });
  const [table, ...more] = tables;
  if (!table || more.length > 0) throw new WasmFormError(`The module has ${tables.length} tables instead of one.`);
  return table;
}

function readGlobals(reader: Reader): [number, number][] {
  return reader.list(() => {
    const type: [number, number] = [reader.byte(), reader.byte()];
    const op = reader.byte();
    if (op === 0x43) reader.skip(4);
    else if (op === 0x44) reader.skip(8);
    else if (op === 0x41 || op === 0x42 || op === 0x23) reader.skipNumber();
    else throw new WasmFormError('The module has globals that are not numbers.');
    if (reader.byte() !== 0x0b) throw new WasmFormError('The module computes the first value of a global.');
    return type;
  });
}

function readExports(reader: Reader): Export[] {
  return reader.list(() => ({ name: reader.name(), kind: reader.byte(), index: reader.unsigned() }));
}

function readElements(reader: Reader): ElementSegment[] {
  return reader.list(() => {
    if (reader.unsigned() !== 0 || reader.byte() !== 0x41)
      throw new WasmFormError('The module has segments of functions that are not laid into its table when it starts.');
    reader.skipNumber();
    if (reader.byte() !== 0x0b) throw new WasmFormError('The module computes where functions go in its table.');
    return { functions: reader.list(() => reader.unsigned()) };
  });
}
