import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { cacheFolder } from '../src/cache/place.ts';

/** Code of one part, compiled, and whether that came from an earlier run. */
interface Compiled {
  readonly script: Script;
  readonly fresh: boolean;
}

/** What is in the file of one kind of command: the length of this as JSON (4 bytes), this, then V8's bytes of each part. */
interface Contents {
  /** What the command was run on when the file was made and each time it grew. */
  readonly seen: readonly string[];
  readonly parts: readonly { readonly name: string; readonly at: number; readonly length: number }[];
}

const dayMs = 86_400_000;
/** The kept code of versions that nobody ran for so long is removed. */
const keptDays = 30;
/** Kinds of commands whose code is kept, of 0.2 to 3 MB each; beyond, the file that was written longest ago makes room. */
const mostKinds = 32;
/** Another model needs other code: the file of a kind grows for so many models. */
const mostSeen = 16;

/**
 * Compiles parts of the program, with what an earlier run of the same kind of command has kept of them, and keeps more of them at the end.
 * Each kind has a file of its own: V8 takes apart all that it is given, called for or not (5 of 120 ms for a float16 conversion's own code,
 * 9 where it held that of all commands).
 * @param build what the code was made of
 * @param kind of command; what is compiled hangs on it
 * @param on what it is run on, of which some hangs too
 */
export class KeptCode {
  readonly #root: string | undefined;
  readonly #folder: string;
  readonly #name: string;
  readonly #on: string;
  readonly #known: { readonly contents: Contents; readonly bytes: Buffer } | undefined;
  readonly #own: boolean;
  readonly #compiled = new Map<string, Compiled>();

  constructor(build: string, kind: string, on: string) {
    // Coverage counts what is compiled in the run; a flag or another V8 makes V8 refuse what was kept.
    const off = process.env.NODE_V8_COVERAGE !== undefined || process.env.NODE_DISABLE_COMPILE_CACHE !== undefined;
    this.#root = off ? undefined : join(cacheFolder(process.env), 'compiled');
    this.#folder = join(this.#root ?? '', `${build}-${process.versions.v8}-${process.arch}`);
    this.#name = `${kind.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 60)}.${hashOf(kind)}.bin`;
    this.#on = on;
    const own = off ? undefined : readKept(join(this.#folder, this.#name));
    this.#own = own !== undefined;
    this.#known = own ?? (off ? undefined : readKept(this.#nearest()));
  }

  /** @param file where it says that it comes from */
  compile(source: string, name: string, filename: string): Script {
    const part = this.#known?.contents.parts.find((one) => one.name === name);
    const cachedData = part && this.#known?.bytes.subarray(part.at, part.at + part.length);
    const script = new Script(source, { filename, ...(cachedData && { cachedData }) });
    this.#compiled.set(name, { script, fresh: !cachedData || script.cachedDataRejected === true });
    return script;
  }

  /** Writes the file of this kind where there is none, or where this run has compiled what is not in it. */
  store(): void {
    if (this.#root === undefined) return;
    const seen = this.#own ? (this.#known?.contents.seen ?? []) : [];
    const grows = !seen.includes(this.#on) && seen.length < mostSeen;
    if (this.#own && !grows && ![...this.#compiled.values()].some(({ fresh }) => fresh)) return;
    try {
      const isNew = statSync(this.#folder, { throwIfNoEntry: false }) === undefined;
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      if (isNew) removeOld(this.#root);
      if (!this.#own) makeRoom(this.#folder);
      replace(join(this.#folder, this.#name), this.#written(grows ? [...seen, this.#on] : seen));
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }

  #written(seen: readonly string[]): Buffer {
    const parts: { name: string; at: number; length: number }[] = [];
    const bytes: Uint8Array[] = [];
    for (const [name, { script }] of this.#compiled) {
      const data = script.createCachedData();
      parts.push({ name, at: 0, length: data.byteLength });
      bytes.push(data);
    }
    // What other models needed, and this one did not.
    for (const { name, at, length } of this.#own ? (this.#known?.contents.parts ?? []) : []) {
      if (this.#compiled.has(name)) continue;
      parts.push({ name, at: 0, length });
      bytes.push(this.#known?.bytes.subarray(at, at + length) ?? new Uint8Array());
    }
    return written({ seen, parts }, bytes);
  }

  /** Where a kind has no file yet: that of the same command with other options, else the one written last. */
  #nearest(): string {
    const [command = ''] = this.#name.split('-', 1);
    let best = { file: '', same: false, written: 0 };
    for (const name of listed(this.#folder)) {
      const file = join(this.#folder, name);
      const one = { file, same: name.startsWith(command), written: changed(file) };
      if (Number(one.same) - Number(best.same) > 0 || (one.same === best.same && one.written > best.written))
        best = one;
    }
    return best.file;
  }
}

/** The file's bytes. Offsets are those in the file; V8 wants each part's at a multiple of 8. */
function written(contents: Contents, bytes: readonly Uint8Array[]): Buffer {
  const aligned = (at: number): number => Math.ceil(at / 8) * 8;
  // Numbers of one width, so that the head is as long as it says.
  const head = (at: number): string => {
    let end = at;
    const parts = contents.parts.map(({ name, length }) => {
      const from = aligned(end);
      end = from + length;
      return { name, at: from, length };
    });
    return JSON.stringify({ seen: contents.seen, parts });
  };
  const start = aligned(4 + Buffer.byteLength(head(2 ** 31)) + 8);
  const text = Buffer.from(head(start));
  let end = start;
  const places = bytes.map((one) => {
    const from = aligned(end);
    end = from + one.byteLength;
    return from;
  });
  const all = Buffer.alloc(end);
  all.writeUInt32LE(text.byteLength, 0);
  all.set(text, 4);
  for (const [index, one] of bytes.entries()) all.set(one, places[index]);
  return all;
}

/** A file of kept code, or undefined where there is none to be had, or none that is whole. */
function readKept(file: string): { contents: Contents; bytes: Buffer } | undefined {
  if (file === '') return undefined;
  try {
    const bytes = readFileSync(file);
    const contents = JSON.parse(bytes.toString('utf8', 4, 4 + bytes.readUInt32LE(0))) as Contents;
    const last = contents.parts.at(-1);
    return last && last.at + last.length <= bytes.byteLength ? { contents, bytes } : undefined;
  } catch (error) {
    if (!isSystemError(error) && !(error instanceof SyntaxError) && !(error instanceof RangeError)) throw error;
    return undefined;
  }
}

/** Names of files of kept code, none where the folder is not there. */
function listed(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith('.bin'));
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return [];
  }
}

const changed = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function removeOld(root: string): void {
  for (const name of readdirSync(root).map((entry) => join(root, entry)))
    if (changed(name) < Date.now() - keptDays * dayMs) rmSync(name, { recursive: true, force: true });
}

function makeRoom(folder: string): void {
  const files = listed(folder).map((name) => join(folder, name));
  if (files.length < mostKinds) return;
  const oldest = files.reduce((a, b) => (changed(b) < changed(a) ? b : a));
  rmSync(oldest, { force: true });
}

/** Whole, or too short for V8 to take it, also where several runs end at once. (Syncing would cost as much as compiling anew.) */
function replace(file: string, bytes: Uint8Array): void {
  const part = `${file}.${process.pid}`;
  writeFileSync(part, bytes);
  renameSync(part, file);
}

/** FNV-1a, in two halves: Node's hashes take longer to load than all that this keeps saves. */
function hashOf(text: string): string {
  let [a, b] = [0x811c9dc5, 0x01000193];
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(i), 0x85ebca6b);
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}

const isSystemError = (error: unknown): boolean => error instanceof Error && 'code' in error;
