import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '../errors.ts';
import type { Config } from './config.ts';
import { validateConfig } from './validate.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** The file, for the report; undefined when there is none. */
  readonly file: string | undefined;
  /** Folder that relative paths in it start from. */
  readonly folder: string;
}

/** In the order in which they are looked for. */
export const configNames = [
  'mlpack.config.json',
  'mlpack.config.yaml',
  'mlpack.config.yml',
  'mlpack.config.mjs',
  'mlpack.config.js',
  'mlpack.config.ts',
];

/**
 * Loads the config that was named, or the mlpack.config.* of the working folder, or an empty one.
 * @throws UserError when it cannot be read, or says something we do not know.
 */
export async function loadConfig(named: string | undefined, cwd: string): Promise<LoadedConfig> {
  const file =
    named === undefined
      ? configNames.map((name) => join(cwd, name)).find((path) => existsSync(path))
      : resolve(cwd, named);
  if (file === undefined) return { config: {}, file: undefined, folder: cwd };
  if (!existsSync(file)) throw new UserError('config.missing', `there is no config file "${named}"; check --config.`);
  return { config: validateConfig(await readConfig(file), file), file, folder: dirname(file) };
}

async function readConfig(file: string): Promise<unknown> {
  switch (extname(file)) {
    case '.json':
      // Editors of Windows put a byte order mark in front.
      return parse(file, 'JSON', async () => JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, '')));
    case '.yaml':
    case '.yml':
      return parse(file, 'YAML', async () => (await import('yaml')).parse(await readFile(file, 'utf8')));
    case '.ts':
      if (!stripsTypes()) {
        throw new UserError(
          'config.typescript',
          `"${file}" is TypeScript, which Node ${process.version} cannot read; use Node 22.18 or newer, or mlpack.config.mjs.`,
        );
      }
      return importDefault(file);
    case '.mjs':
    case '.js':
      return importDefault(file);
    default:
      throw new UserError(
        'config.kind',
        `"${file}" is no config that mlpack reads; use .json, .yaml, .mjs, .js or .ts.`,
      );
  }
}

async function parse(file: string, kind: string, read: () => Promise<unknown>): Promise<unknown> {
  try {
    return await read();
  } catch (error) {
    throw new UserError('config.syntax', `"${file}" is not valid ${kind}: ${firstLine(error)}`, { cause: error });
  }
}

async function importDefault(file: string): Promise<unknown> {
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    throw new UserError('config.code', `"${file}" failed while it was loaded: ${firstLine(error)}`, { cause: error });
  }
}

function stripsTypes(): boolean {
  return Boolean((process.features as { typescript?: unknown }).typescript);
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
