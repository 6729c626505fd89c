import { join, named, type Piece, Reader, sized, unsigned, vector } from './bytes.ts';
import { type SectionName, sections, type WasmModule } from './module.ts';

const i32 = 0x7f;

/** Types of functions without results: of nothing, and of one i32. */
export const typeOfNothing: Piece = [0x60, 0, 0];
export const typeOfNumber: Piece = [0x60, 1, i32, 0];

/** A global i32 that can be set and begins as 0. */
export const counterGlobal: Piece = [i32, 1, 0x41, 0, 0x0b];

export function exported(name: string, kind: number, index: number): Piece {
  return [named(name), kind, unsigned(index)];
}

/**
 * The entries of a section with more at its end, so that every index stays what it is.
 * @returns contents of the section
 */
export function appended(module: WasmModule, name: SectionName, more: readonly Piece[]): Piece {
  const section = module.sections.find(({ id }) => id === sections[name]);
  if (!section) return vector(more);
  const reader = new Reader(module.bytes, section.start, section.end);
  const count = reader.unsigned();
  return [unsigned(count + more.length), module.bytes.subarray(reader.at, section.end), more];
}

/** The table section with room for more functions. */
export function widerTable({ table }: WasmModule, more: number): Piece {
  const { min, max } = table;
  const limits = max === undefined ? [0, unsigned(min + more)] : [1, unsigned(min + more), unsigned(max + more)];
  return [1, 0x70, limits];
}

/** The module with the contents of some sections replaced; those it lacks are put in where they belong. */
export function withSections(module: WasmModule, replaced: Partial<Record<SectionName, Piece>>): Uint8Array {
  const contents = new Map<number, Piece>(
    Object.entries(replaced).map(([name, piece]) => [sections[name as SectionName], piece]),
  );
  const written: Piece[] = [module.bytes.subarray(0, 8)];
  const write = (id: number, piece: Piece): void => {
    written.push(id, sized(piece));
  };
  /** Those that come before section `id` in a file. */
  const catchUp = (id: number): void => {
    if (id === sections.custom) return;
    for (const [other, piece] of [...contents].sort(([a], [b]) => rank(a) - rank(b))) {
      if (rank(other) >= rank(id)) continue;
      write(other, piece);
      contents.delete(other);
    }
  };
  for (const { id, start, end } of module.sections) {
    catchUp(id);
    const piece = contents.get(id);
    contents.delete(id);
    write(id, piece ?? module.bytes.subarray(start, end));
  }
  catchUp(sections.data + 1);
  return join(written);
}

/** Sections stand in the order of their numbers, but for the data count, which stands before the code. */
export function rank(id: number): number {
  return id === sections.dataCount ? sections.code - 0.5 : id;
}
