import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { KeptCode } from './kept-code.ts';

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

/**
 * Runs a program of `dist/bin`, and keeps what V8 made of it for the next run: of a job of a fifth of a second a third was spent on
 * compiling. (Node's own compile cache came with 22.8 and keeps what the first run called; this one grows by what the commands after it
 * call.) In the user's own folder, since whoever writes there decides what is run. A folder that cannot be written costs nothing but the gain.
 */
export function runProgram(folder: string, entry: string): void {
  const { kind, on } = kindOf(entry, process.argv.slice(2));
  const keep = new KeptCode(buildId, kind, on);
  const parts = new Map<string, Part>();
  const outside = createRequire(join(folder, `${entry}.js`));
  const folderUrl = pathToFileURL(folder).href;
  const inside = (id: string): unknown => {
    if (id.startsWith('./')) return part(resolve(folder, id));
    return late.has(id) ? lazy(() => outside(id) as object) : (outside(id) as unknown);
  };
  /** What `import()` became: parts of the program are found as by require, all else as from this folder. */
  const load = async (id: string): Promise<unknown> => {
    // CommonJS: Node's loader of modules, which hardly anything else needs, takes as long to begin as all of this takes to load.
    if (id === 'onnxruntime-node') return outside(id);
    const file = id.startsWith('file:') ? fileURLToPath(id) : undefined;
    return file && dirname(file) === folder ? part(file) : ((await import(id)) as unknown);
  };
  const part = (file: string): unknown => {
    const known = parts.get(file);
    if (known) return known.exports;
    const made: Part = { exports: {} };
    parts.set(file, made);
    const name = file.slice(folder.length + 1);
    // ASCII, as the build has made it. On one line, so that places in stacks are those of the file.
    const source = readFileSync(file, 'latin1');
    const wrapped = `(function (exports, require, module, __filename, __dirname, __import) { ${source}\n})`;
    const run = keep.compile(wrapped, name, `${folderUrl}/${name}`).runInThisContext() as Wrapped;
    run.call(made.exports, made.exports, inside, made, file, folder, load);
    return made.exports;
  };
  process.on('exit', () => keep.store());
  part(join(folder, `${entry}.js`));
}

/**
 * What the code hangs on that a command line needs: the command and its options, numbers and paths left out; and the model, which comes first.
 * Programs that the command starts are of one kind each.
 */
function kindOf(entry: string, [command = '', ...rest]: readonly string[]): { kind: string; on: string } {
  if (entry !== 'run-mlpack') return { kind: entry, on: '' };
  const [first = ''] = rest;
  const on = first.startsWith('-') ? '' : first;
  const words = (on === '' ? rest : rest.slice(1)).map((word) => word.replace(/\d+(?:\.\d+)?/g, '0'));
  return { kind: [command, ...words.filter((word) => !/[./\\\s]/.test(word))].join(' '), on };
}

/** Modules of Node that only some work needs, and that take a millisecond each to load (and more by what they load). */
const late: ReadonlySet<string> = new Set([
  'node:child_process',
  'node:crypto',
  'node:fs/promises',
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
