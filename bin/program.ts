import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { cacheFolder } from '../src/cache/place.ts';

/** What the build has made of the sources: put in by it. */
declare const buildId: string;

/** A part of the built program, as CommonJS functions see themselves. */
interface Part {
  exports: unknown;
}
type Wrapped = (
  this: unknown,
  exports: unknown,
  require: (id: string) => unknown,
  module: Part,
  filename: string,
  dirname: string,
  load: (id: string) => Promise<unknown>,
) => void;

/** Code of one part, compiled, and whether that came from the last run. */
interface Compiled {
  readonly name: string;
  readonly script: Script;
  readonly fresh: boolean;
}

const dayMs = 86_400_000;
/** The kept code of versions that nobody ran for so long is removed. */
const keptDays = 30;
/** Kept code grows by what each command needed that none before did, for so many kinds of commands. */
const mostKinds = 64;

/**
 * Runs a program of `dist/bin`, and keeps what V8 made of it for the next run: of a job of a fifth of a second a third was spent on
 * compiling. (Node's own compile cache came with 22.8 and keeps what the first run called; this one grows by what the commands after it
 * call.) In the user's own folder, since whoever writes there decides what is run. A folder that cannot be written costs nothing but the gain.
 */
export function runProgram(folder: string, entry: string): void {
  const keep = keeper(entry);
  const parts = new Map<string, Part>();
  const outside = createRequire(join(folder, `${entry}.js`));
  const inside = (id: string): unknown => {
    if (id.startsWith('./')) return part(resolve(folder, id));
    return late.has(id) ? lazy(() => outside(id) as object) : (outside(id) as unknown);
  };
  /** What `import()` became: parts of the program are found as by require, all else as from this folder. */
  const load = async (id: string): Promise<unknown> => {
    const file = id.startsWith('file:') ? fileURLToPath(id) : undefined;
    return file && dirname(file) === folder ? part(file) : ((await import(id)) as unknown);
  };
  const part = (file: string): unknown => {
    const known = parts.get(file);
    if (known) return known.exports;
    const made: Part = { exports: {} };
    parts.set(file, made);
    const source = readFileSync(file, 'utf8');
    // On one line, so that places in stacks are those of the file.
    const wrapped = `(function (exports, require, module, __filename, __dirname, __import) { ${source}\n})`;
    const run = keep.compile(wrapped, file).runInThisContext() as Wrapped;
    run.call(made.exports, made.exports, inside, made, file, folder, load);
    return made.exports;
  };
  process.on('exit', () => keep.store());
  part(join(folder, `${entry}.js`));
}

/** Compiles parts, with what an earlier run has kept of them, and keeps more of them at the end. */
function keeper(entry: string): { compile(source: string, file: string): Script; store(): void } {
  // Coverage counts what is compiled in the run; a flag or another V8 makes V8 refuse what was kept.
  const off = process.env.NODE_V8_COVERAGE !== undefined || process.env.NODE_DISABLE_COMPILE_CACHE !== undefined;
  const root = off ? undefined : join(cacheFolder(process.env), 'compiled');
  const folder = root && join(root, `${buildId}-${process.versions.v8}-${process.arch}`);
  const compiled: Compiled[] = [];
  return {
    compile(source, file) {
      const name = file.slice(dirname(file).length + 1);
      const cachedData = folder && read(join(folder, `${name}.bin`));
      const script = new Script(source, { filename: pathToFileURL(file).href, ...(cachedData && { cachedData }) });
      compiled.push({ name, script, fresh: !cachedData || script.cachedDataRejected === true });
      return script;
    },
    store() {
      if (!root || !folder) return;
      const kind = [entry, ...compiled.map(({ name }) => name).sort()].join(' ');
      const list = join(folder, 'kinds.txt');
      const kinds = read(list)?.toString('utf8').split('\n') ?? [];
      const grows = !kinds.includes(kind) && kinds.length < mostKinds;
      const changed = compiled.filter(({ fresh }) => fresh || grows);
      if (changed.length === 0) return;
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        if (kinds.length === 0) removeOld(root);
        for (const { name, script } of changed) replace(join(folder, `${name}.bin`), script.createCachedData());
        if (grows) replace(list, [...kinds, kind].join('\n'));
      } catch (error) {
        if (!isSystemError(error)) throw error;
      }
    },
  };
}

function removeOld(root: string): void {
  for (const name of readdirSync(root).map((entry) => join(root, entry)))
    if (statSync(name).mtimeMs < Date.now() - keptDays * dayMs) rmSync(name, { recursive: true, force: true });
}

/** The bytes of a file, or undefined where there are none to be had. */
function read(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return undefined;
  }
}

/** Whole, or too short for V8 to take it, also where several runs end at once. (Syncing would cost as much as compiling anew.) */
function replace(file: string, bytes: Uint8Array | string): void {
  const part = `${file}.${process.pid}`;
  writeFileSync(part, bytes);
  renameSync(part, file);
}

/** Modules of Node that only some work needs, and that take a millisecond each to load (and more by what they load). */
const late: ReadonlySet<string> = new Set([
  'node:child_process',
  'node:crypto',
  'node:perf_hooks',
  'node:readline',
  'node:stream/promises',
  'node:zlib',
]);

/** The module, loaded at the first look at what is in it. */
function lazy(load: () => object): object {
  let loaded: object | undefined;
  const get = (): object => (loaded ??= load());
  return new Proxy(
    {},
    {
      get: (_, name) => Reflect.get(get(), name) as unknown,
      has: (_, name) => Reflect.has(get(), name),
      ownKeys: () => Reflect.ownKeys(get()),
      getOwnPropertyDescriptor: (_, name) => {
        const found = Reflect.getOwnPropertyDescriptor(get(), name);
        return found && { ...found, configurable: true };
      },
    },
  );
}

const isSystemError = (error: unknown): boolean => error instanceof Error && 'code' in error;
