import { join, type Piece, signed, unsigned, vector } from './bytes.ts';
import { appended, counterGlobal, typeOfNumber, widerTable, withSections } from './edit.ts';
import { parseModule } from './module.ts';
import { readAllCode, startClosure } from './reach.ts';

/** A module that tells which of its functions run. */
export interface WatchedModule {
  readonly bytes: Uint8Array;
  /** Defined functions. */
  readonly functions: number;
  /**
   * Place in table 0 for a function of one i32 that the host puts there as soon as the module is instantiated: it is called with the
   * number of each defined function when that runs for the first time.
   */
  readonly hook: number;
  /** Functions that run before there can be a hook: they are not told of. */
  readonly untold: readonly number[];
}

/**
 * Has every function tell once that it runs. Globals, a type and a place in the table are put behind those that are there, so that all else
 * stays as it is. Each instance tells for itself, so that threads are seen too.
 * @throws WasmFormError
 */
export function watchFunctions(bytes: Uint8Array): WatchedModule {
  const module = parseModule(bytes);
  const code = readAllCode(module);
  const untold = startClosure(module, code);
  const hook = module.table.min;
  const firstFlag = module.importedGlobals + module.globals.length;
  const type = module.types.length;
  const bodies = module.bodies.map(({ start, end }, n): Piece => {
    const begin = code[n]?.start ?? start;
    const told: Piece = untold.has(n) ? [] : tell(n, firstFlag + n, hook, type);
    const body = [bytes.subarray(start, begin), told, bytes.subarray(begin, end)];
    return [unsigned(join(body).length), body];
  });
  return {
    bytes: withSections(module, {
      type: appended(module, 'type', [typeOfNumber]),
      table: widerTable(module, 1),
      global: appended(
        module,
        'global',
        module.bodies.map(() => counterGlobal),
      ),
      code: vector(bodies),
    }),
    functions: module.bodies.length,
    hook,
    untold: [...untold].sort((a, b) => a - b),
  };
}

/** if (!flag) { flag = 1; hook(n) } */
function tell(n: number, flag: number, hook: number, type: number): Piece {
  const set = [0x41, 1, 0x24, unsigned(flag)];
  const call = [0x41, signed(n), 0x41, signed(hook), 0x11, unsigned(type), 0];
  return [0x23, unsigned(flag), 0x45, 0x04, 0x40, set, call, 0x0b];
}
