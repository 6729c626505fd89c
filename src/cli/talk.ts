import { Chalk, type ChalkInstance } from 'chalk';
import { nowMs } from '../clock.ts';
import type { CliIo, TextSink } from './io.ts';

/** What a command says: data on stdout, talk and progress on stderr. */
export interface Talk {
  /** Colours for stdout (off when it is no terminal or NO_COLOR is set). */
  readonly style: ChalkInstance;
  /** One line of data. */
  out(text: string): void;
  /** The one JSON document of `--json`. */
  json(value: unknown): void;
  /** A lasting line of talk; silent with `--quiet`. */
  note(text: string): void;
  /** A warning: shown with `--quiet` too. */
  warn(text: string): void;
  /** What is happening now: a live line on a terminal, elsewhere a plain line when the stage changes, and every half minute while it lasts. */
  progress(stage: string, detail?: string): void;
  /** Takes the live line away. */
  done(): void;
}

/** Milliseconds after which a stage shows in a log that it goes on: services end jobs that say nothing for ten minutes. */
const signOfLifeMs = 30_000;

function colourLevel(io: CliIo, sink: TextSink): 0 | 1 {
  if (io.env.NO_COLOR) return 0;
  if (io.env.FORCE_COLOR && io.env.FORCE_COLOR !== '0') return 1;
  return sink.isTTY ? 1 : 0;
}

export function createTalk(io: CliIo, options: { readonly quiet?: boolean }): Talk {
  // Looking at a stream of the process opens it, which takes milliseconds: only when there is something to say.
  const colours = { out: undefined as ChalkInstance | undefined, err: undefined as ChalkInstance | undefined };
  const errStyle = (): ChalkInstance => (colours.err ??= new Chalk({ level: colourLevel(io, io.stderr) }));
  const shownOn = (sink: TextSink, text: string): string => harmless(text, colourLevel(io, sink) > 0);
  let shown = false;
  let lastStage = '';
  let lastLineMs = 0;
  const clear = (): void => {
    if (shown) io.stderr.write('\r\u001b[2K');
    shown = false;
  };
  return {
    get style() {
      return (colours.out ??= new Chalk({ level: colourLevel(io, io.stdout) }));
    },
    out(text) {
      clear();
      io.stdout.write(`${shownOn(io.stdout, text)}\n`);
    },
    json(value) {
      clear();
      io.stdout.write(`${JSON.stringify(value, jsonSafe, 2)}\n`);
    },
    note(text) {
      if (options.quiet) return;
      clear();
      io.stderr.write(`${shownOn(io.stderr, text)}\n`);
    },
    warn(text) {
      clear();
      io.stderr.write(`${errStyle().yellow('warning:')} ${shownOn(io.stderr, text)}\n`);
    },
    progress(stage, named = '') {
      if (options.quiet) return;
      const detail = harmless(named, false);
      if (io.stderr.isTTY === true) {
        const width = (io.stderr.columns ?? 80) - 1;
        clear();
        io.stderr.write(errStyle().dim(`${stage}${detail && ` · ${detail}`}`.slice(0, width)));
        shown = true;
      } else if (stage !== lastStage || nowMs() - lastLineMs >= signOfLifeMs) {
        io.stderr.write(`${stage}${detail && ` · ${detail}`}\n`);
        lastLineMs = nowMs();
      }
      lastStage = stage;
    },
    done() {
      clear();
      lastStage = '';
    },
  };
}

/** JSON has no bigint and no infinities: 64-bit integers become text, non-finite numbers null. */
function jsonSafe(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Map) return Object.fromEntries(value);
  return value;
}

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

/**
 * Names from models, data and messages of the runtime may hold commands to the terminal, or turn the text around them by marks of direction.
 * @param colours whether codes of colours are ours
 */
export function harmless(text: string, colours: boolean): string {
  return text.replace(
    colours ? /\u001b(?!\[[0-9;]*m)|[^\P{Cc}\u001b\n\t]|\p{Bidi_Control}/gu : /[^\P{Cc}\n\t]|\p{Bidi_Control}/gu,
    escaped,
  );
}

/** A cell of a table: no line breaks either. */
const inOneLine = (cell: string): string => harmless(cell, true).replace(/[\n\t]/g, escaped);

/** Columns padded to equal width; `right` names columns that align right. Cells may carry colour codes. */
export function table(cells: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = cells.map((row) => row.map(inOneLine));
  const plain = (text: string): number => Array.from(text.replace(/\u001b\[[0-9;]*m/g, '')).length;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, plain(cell));
  }
  return rows
    .map((row) =>
      row
        .map((cell, index) => {
          const pad = ' '.repeat((widths[index] ?? 0) - plain(cell));
          return right.includes(index) ? pad + cell : cell + pad;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
