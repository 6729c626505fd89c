import { type CodeReferences, readCode } from './instructions.ts';
import type { WasmModule } from './module.ts';

/** What the code of each defined function refers to. @throws WasmFormError */
export function readAllCode({ bytes, bodies }: WasmModule): CodeReferences[] {
  return bodies.map(({ start, end }) => readCode(bytes, start, end));
}

/** Defined functions that run while the module is instantiated, before anybody can prepare anything; by their number among the defined ones. */
export function startClosure(module: WasmModule, code: readonly CodeReferences[]): Set<number> {
  const reached = new Set<number>();
  const open = module.start === undefined ? [] : [module.start - module.importedFunctions];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (one < 0 || reached.has(one)) continue;
    reached.add(one);
    for (const { what, index } of code[one]?.references ?? [])
      if (what === 'function') open.push(index - module.importedFunctions);
  }
  return reached;
}
