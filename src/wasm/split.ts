import { join, named, type Piece, signed, sized, unsigned, vector, WasmFormError } from './bytes.ts';
import { appended, counterGlobal, exported, typeOfNothing, widerTable, withSections } from './edit.ts';
import type { CodeReferences } from './instructions.ts';
import { kinds, parseModule, type SectionName, sections, type WasmModule } from './module.ts';
import { readAllCode, startClosure } from './reach.ts';

/** A module in two parts that together are the module it was. */
export interface SplitModule {
  /** Starts and runs alone as long as no deferred function is called. */
  readonly primary: Uint8Array;
  /** The code of deferred functions; imports what the whole module did, and `primary` under the module name `restModule`. */
  readonly rest: Uint8Array;
  /** Place in table 0 where the host puts a function without parameters that instantiates `rest`, and sets the export `loadedName` to 1. */
  readonly loader: number;
  /** Functions whose code is in `rest`. */
  readonly deferred: number;
}

/** Names of what the primary module exports on top; followed by an index in base 36 where there are several. */
export const loadedName = '.l';
export const tableName = '.t';
const memoryName = '.m';
const functionName = '.f';
const globalName = '.g';
/** Module name of these exports among the imports of `rest`. */
export const restModule = '.';

interface Plan {
  readonly module: WasmModule;
  readonly code: readonly CodeReferences[];
  /** Defined functions whose code goes, ascending. */
  readonly cold: readonly number[];
  /** Those of them that code or tables of the primary module can reach: they keep a stub there. */
  readonly stubbed: readonly number[];
  /** What deferred code takes from the primary module, by index: defined functions and globals. */
  readonly taken: { readonly functions: readonly number[]; readonly globals: readonly number[] };
}

/**
 * Moves the code of functions into a second module, which is loaded when one of them is called. Nothing is removed and no index changes: a deferred
 * function that can be reached becomes a stub that has the rest loaded, once, and calls the real one through the table. The other code is byte for byte
 * what it was. (The idea is that of Binaryen's wasm-split.)
 * @param ran whether a defined function, by its number, was seen to run: it stays
 * @throws WasmFormError where the module's form does not allow it
 */
export function splitModule(bytes: Uint8Array, ran: (defined: number) => boolean): SplitModule {
  const plan = planSplit(parseModule(bytes), ran);
  return {
    primary: primaryModule(plan),
    rest: restOf(plan),
    loader: plan.module.table.min,
    deferred: plan.cold.length,
  };
}

function planSplit(module: WasmModule, ran: (defined: number) => boolean): Plan {
  const code = readAllCode(module);
  if (code.some(({ table }) => table))
    throw new WasmFormError('The module changes its table of functions, or asks for its size.');
  const names = new Set(module.exports.map(({ name }) => name));
  if ([...names].some((name) => name.startsWith('.')))
    throw new WasmFormError('The module exports names that begin with a dot.');
  const early = startClosure(module, code);
  // Bodies shorter than a stub go too: keeping those of at most 24 bytes made onnxruntime-web's primary module 0.6 % larger with brotli.
  const stays = (n: number): boolean => ran(n) || early.has(n) || code[n]?.bound === true;
  const all = module.bodies.map((_, n) => n);
  const cold = all.filter((n) => !stays(n));
  const isCold = new Set(cold);
  const defined = (index: number): number => index - module.importedFunctions;
  const reachable = new Set([
    ...all.filter((n) => !isCold.has(n)).flatMap((n) => called(code[n]).map(defined)),
    ...module.elements.flatMap(({ functions }) => functions.map(defined)),
    ...module.exports.filter(({ kind }) => kind === kinds.function).map(({ index }) => defined(index)),
  ]);
  const references = cold.flatMap((n) => code[n]?.references ?? []);
  const ofKind = (what: string): number[] => [
    ...new Set(references.filter((one) => one.what === what).map(({ index }) => index)),
  ];
  const ascending = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);
  return {
    module,
    code,
    cold,
    stubbed: cold.filter((n) => reachable.has(n)),
    taken: {
      functions: ascending(ofKind('function').filter((index) => defined(index) >= 0 && !isCold.has(defined(index)))),
      globals: ascending(ofKind('global').filter((index) => index >= module.importedGlobals)),
    },
  };
}

function called(code: CodeReferences | undefined): number[] {
  return (code?.references ?? []).filter(({ what }) => what === 'function').map(({ index }) => index);
}

/** A body that nothing can reach. */
const unreachable: Piece = [3, 0, 0x00, 0x0b];

function primaryModule({ module, cold, stubbed, taken }: Plan): Uint8Array {
  const { table, types, functions, bodies, bytes } = module;
  const loaded = module.importedGlobals + module.globals.length;
  const place = new Map(stubbed.map((n, at) => [n, table.min + 1 + at]));
  const isCold = new Set(cold);
  const stub = (n: number, slot: number): Piece => {
    const type = functions[n] ?? 0;
    const parameters = Array.from({ length: types[type]?.parameters ?? 0 }, (_, p) => [0x20, unsigned(p)]);
    const load = [0x41, signed(table.min), 0x11, unsigned(types.length), 0];
    const check = [0x23, unsigned(loaded), 0x45, 0x04, 0x40, load, 0x0b];
    return sized([0, check, parameters, 0x41, signed(slot), 0x11, unsigned(type), 0, 0x0b]);
  };
  const code = bodies.map(({ start, end }, n): Piece => {
    const slot = place.get(n);
    if (slot !== undefined) return stub(n, slot);
    return isCold.has(n) ? unreachable : [unsigned(end - start), bytes.subarray(start, end)];
  });
  const short = (index: number): string => index.toString(36);
  return withSections(module, {
    type: appended(module, 'type', [typeOfNothing]),
    table: widerTable(module, 1 + stubbed.length),
    global: appended(module, 'global', [counterGlobal]),
    export: appended(module, 'export', [
      exported(loadedName, kinds.global, loaded),
      exported(tableName, kinds.table, 0),
      ...(definesMemory(module) ? [exported(memoryName, kinds.memory, 0)] : []),
      ...taken.functions.map((index) => exported(functionName + short(index), kinds.function, index)),
      ...taken.globals.map((index) => exported(globalName + short(index), kinds.global, index)),
    ]),
    code: vector(code),
  });
}

function definesMemory({ sections: found }: WasmModule): boolean {
  return found.some(({ id }) => id === sections.memory);
}

/** Contents of a section as they are in the module. */
function contents({ bytes, sections: found }: WasmModule, name: SectionName): Uint8Array {
  const section = found.find(({ id }) => id === sections[name]);
  return bytes.subarray(section?.start ?? 0, section?.end ?? 0);
}

function restOf(plan: Plan): Uint8Array {
  const { module, code, cold, stubbed, taken } = plan;
  const { table, functions, importedFunctions, importedGlobals, globals, bytes } = module;
  const from = (name: string, description: Piece): Piece => [named(restModule), named(name), description];
  const size = table.min + 1 + stubbed.length;
  const limits =
    table.max === undefined ? [0, unsigned(size)] : [1, unsigned(size), unsigned(table.max + 1 + stubbed.length)];
  const short = (index: number): string => index.toString(36);
  const ownMemory = definesMemory(module) ? [from(memoryName, [kinds.memory, memoryType(module)])] : [];
  const imports: Piece[] = [
    // As the whole module imported them, so that their indices stay.
    ...module.imports.map((one) => one.bytes),
    ...taken.functions.map((index) =>
      from(functionName + short(index), [kinds.function, unsigned(functions[index - importedFunctions] ?? 0)]),
    ),
    ...taken.globals.map((index) =>
      from(globalName + short(index), [kinds.global, globals[index - importedGlobals] ?? []]),
    ),
    from(tableName, [kinds.table, 0x70, limits]),
    ...ownMemory,
  ];
  const functionIndex = new Map<number, number>();
  for (const [n, index] of taken.functions.entries()) functionIndex.set(index, importedFunctions + n);
  for (const [n, one] of cold.entries()) {
    functionIndex.set(one + importedFunctions, importedFunctions + taken.functions.length + n);
  }
  const globalIndex = new Map(taken.globals.map((index, n) => [index, importedGlobals + n]));
  const renamed = (what: 'function' | 'global', index: number): number =>
    (what === 'function' ? functionIndex : globalIndex).get(index) ?? index;
  const bodies = cold.map((n): Piece => {
    const { start, end } = module.bodies[n] ?? { start: 0, end: 0 };
    const pieces: Piece[] = [];
    let at = start;
    for (const { what, from: begin, to, index } of code[n]?.references ?? []) {
      pieces.push(bytes.subarray(at, begin), unsigned(renamed(what, index)));
      at = to;
    }
    return sized([pieces, bytes.subarray(at, end)]);
  });
  const segment = [
    0,
    [0x41, signed(table.min + 1), 0x0b],
    vector(stubbed.map((n) => unsigned(functionIndex.get(n + importedFunctions) ?? 0))),
  ];
  const section = (name: SectionName, piece: Piece): Piece => [sections[name], sized(piece)];
  return join([
    bytes.subarray(0, 8),
    section('type', contents(module, 'type')),
    section('import', vector(imports)),
    section('function', vector(cold.map((n) => unsigned(functions[n] ?? 0)))),
    section('element', vector([segment])),
    section('code', vector(bodies)),
  ]);
}

/** Limits of the module's own memory. */
function memoryType(module: WasmModule): Uint8Array {
  return contents(module, 'memory').subarray(1);
}
