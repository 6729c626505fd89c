/** A module whose form is not one that this room takes apart: `message` says in a sentence what stands against it. */
export class WasmFormError extends Error {
  override readonly name = 'WasmFormError';
}

/** Reads the binary format of WebAssembly front to back. @throws WasmFormError at the end of the bytes. */
export class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined || this.done) throw new WasmFormError(`The module ends at byte ${this.at}, in its middle.`);
    this.at++;
    return value;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  unsigned(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new WasmFormError(`The number at byte ${this.at} is longer than 32 bits.`);
  }

  /** Passes over any LEB128 number. */
  skipNumber(): void {
    while (this.byte() >= 0x80);
  }

  skip(bytes: number): void {
    if (this.at + bytes > this.end) throw new WasmFormError(`The module ends at byte ${this.end}, in its middle.`);
    this.at += bytes;
  }

  name(): string {
    const length = this.unsigned();
    const start = this.at;
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(start, this.at));
  }

  /** `count` and then so many of what `one` reads. */
  list<T>(one: () => T): T[] {
    const count = this.unsigned();
    const all: T[] = [];
    for (let n = 0; n < count; n++) all.push(one());
    return all;
  }
}

/** Bytes to be joined: numbers are single bytes. */
export type Piece = number | Uint8Array | readonly Piece[];

/** An unsigned number as LEB128. */
export function unsigned(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

/** A number that is not negative as signed LEB128, as in `i32.const`. */
export function signed(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 64) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

export function named(text: string): Piece {
  const bytes = new TextEncoder().encode(text);
  return [unsigned(bytes.length), bytes];
}

/** A vector: its length and its elements. */
export function vector(items: readonly Piece[]): Piece {
  return [unsigned(items.length), items];
}

/** What stands behind its own length in bytes: function bodies, sections. */
export function sized(piece: Piece): Piece {
  const bytes = join(piece);
  return [unsigned(bytes.length), bytes];
}

/** The bytes of all pieces, in order. */
export function join(piece: Piece): Uint8Array {
  const bytes = new Uint8Array(lengthOf(piece));
  let at = 0;
  const put = (one: Piece): void => {
    if (typeof one === 'number') bytes[at++] = one;
    else if (one instanceof Uint8Array) {
      bytes.set(one, at);
      at += one.length;
    } else for (const each of one) put(each);
  };
  put(piece);
  return bytes;
}

function lengthOf(piece: Piece): number {
  if (typeof piece === 'number') return 1;
  if (piece instanceof Uint8Array) return piece.length;
  return piece.reduce((sum: number, one) => sum + lengthOf(one), 0);
}
