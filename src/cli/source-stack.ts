import { existsSync, readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `file:///…/dist/bin/core.js:120:7`, in brackets or not. */
const place = /file:\/\/[^\s()]+?\.js:\d+:\d+/g;

/**
 * A stack in terms of the sources: places in the built program are looked up in the map beside each file, which Node itself would read at
 * every start. Places without a map stay as they are.
 */
export function sourceStack(stack: string): string {
  const maps = new Map<string, SourceMap | undefined>();
  return stack.replaceAll(place, (text) => {
    const [, url = '', line = '', column = ''] = /^(.*):(\d+):(\d+)$/.exec(text) ?? [];
    const file = fileURLToPath(url);
    if (!maps.has(file)) maps.set(file, readMap(`${file}.map`));
    const found = maps.get(file)?.findOrigin(Number(line), Number(column));
    if (!found || !('fileName' in found)) return text;
    // Sources are named relative to the folder of the map, which is two below the package's own.
    const source = relative(resolve(dirname(file), '..', '..'), resolve(dirname(file), found.fileName));
    return `${source.replaceAll('\\', '/')}:${found.lineNumber}:${found.columnNumber}`;
  });
}

function readMap(file: string): SourceMap | undefined {
  return existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload) : undefined;
}
