import { Command, CommanderError } from 'commander';
import { GateError, UserError } from '../errors.ts';
import { packageVersion as toolVersion } from '../target/package-root.ts';
import type { Start } from './command.ts';
import { commands } from './commands.ts';
import { type CliIo, exitCodes } from './io.ts';
import { registerPassCommand } from './pass-commands.ts';
import { listPasses, type PassList } from './pass-list.ts';
import { createTalk, harmless } from './talk.ts';

/** Runs the command line. @returns the exit code; never throws and never exits the process. */
export async function main(io: CliIo): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const start: Start = async (flags, work) => {
    const quiet = flags.quiet === true;
    const talk = createTalk(io, { quiet });
    const atEnd: (() => Promise<void>)[] = [];
    try {
      exitCode = (await work({ io, talk, json: flags.json === true, quiet, atEnd })) ?? exitCodes.ok;
    } finally {
      for (const close of atEnd) await close();
      talk.done();
    }
  };
  const program = new Command('mlpack')
    .description('Optimize, measure, gate and pack ONNX models.')
    .version(toolVersion(), '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // Help for want of a command: with --json the one document says it.
      writeErr: (text) => {
        if (!io.argv.includes('--json')) io.stderr.write(text);
      },
      // What is wrong is said in one place, explainFailure.
      outputError: () => {},
    })
    .helpCommand(true)
    // `report diff` has flags of its own, which otherwise `report` would take.
    .enablePositionalOptions();
  const list = await listPasses();
  declareCommands(program, start, list, io.argv[0]);
  try {
    await program.parseAsync([...io.argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    return await explainFailure(io, error);
  }
}

/** Of some seventy commands the named one alone, which takes a tenth of the time; all where help, suggestions and refusals need them. */
function declareCommands(program: Command, start: Start, list: PassList, first: string | undefined): void {
  const named = first === undefined ? undefined : commands.get(first);
  if (named) return named.register(program, start, list);
  const pass = list.passes.find(({ id }) => id === first);
  if (pass) return registerPassCommand(program, start, pass);
  for (const command of commands.values()) command.register(program, start, list);
  for (const one of list.passes) registerPassCommand(program, start, one);
}

async function explainFailure(io: CliIo, error: unknown): Promise<number> {
  const { code, message, exit } = await classify(io, error);
  if (exit === exitCodes.ok) return exit;
  if (io.argv.includes('--json')) {
    const said = message || 'which command? `mlpack --help` lists them.';
    try {
      io.stdout.write(`${JSON.stringify({ ok: false, error: { code, message: said } }, null, 2)}\n`);
    } catch (unwritable) {
      // What cannot be written may be standard output itself.
      if (systemError(unwritable) === undefined) throw unwritable;
      io.stderr.write(`mlpack: ${harmless(said, false)}\n`);
    }
  } else if (message) {
    io.stderr.write(`mlpack: ${harmless(message, false)}\n`);
  }
  return exit;
}

async function classify(io: CliIo, error: unknown): Promise<{ code: string; message: string; exit: number }> {
  if (error instanceof CommanderError) return classifyUsage(error);
  if (io.signal.aborted)
    return { code: 'interrupted', message: 'interrupted; nothing was left behind.', exit: exitCodes.interrupted };
  if (error instanceof UserError) return { code: error.code, message: error.message, exit: exitCodes.user };
  if (error instanceof GateError) return { code: error.code, message: error.message, exit: exitCodes.gate };
  const system = systemError(error);
  if (system) return { code: 'system', message: system, exit: exitCodes.user };
  const { sourceStack } = await import('./source-stack.ts');
  const stack = error instanceof Error ? sourceStack(error.stack ?? error.message) : String(error);
  return {
    code: 'bug',
    message:
      `this is a bug in mlpack ${toolVersion()} (Node ${process.version}, ${process.platform}-${process.arch}); please report it ` +
      `with the command and this text:\n${stack}`,
    exit: exitCodes.bug,
  };
}

/** Wrong flags and arguments, which Commander has found. Help and version end here too, with exit code 0. */
function classifyUsage(error: CommanderError): { code: string; message: string; exit: number } {
  const code = error.code.replace(/^commander\./, 'usage.');
  if (error.exitCode === 0) return { code, message: '', exit: exitCodes.ok };
  // No command: the help was printed, and there is nothing more to say on a terminal.
  if (error.code === 'commander.help') return { code, message: '', exit: exitCodes.user };
  const [what = '', hint = ''] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = /^\((?:Did you mean (?:one of )?)(.+)\?\)$/.exec(hint)?.[1];
  const message = `${what.replace(/\.$/, '')}${suggestion ? ` (did you mean ${suggestion}?)` : ''}; see --help.`;
  return { code, message, exit: exitCodes.user };
}

/** File system errors that are the user's to mend, in one sentence. */
function systemError(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  const path = 'path' in error && typeof error.path === 'string' ? ` "${error.path}"` : '';
  switch (error.code) {
    case 'ENOENT':
      return `there is no file or folder${path}; check the path.`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `no permission for${path || ' a file'}; check its rights or choose another place with --out.`;
    case 'ENAMETOOLONG':
      return `the name${path} is too long for the file system; give a shorter one.`;
    case 'ELOOP':
      return `the links at${path || ' a path'} lead in a circle; check the path.`;
    case 'ENOSPC':
      return `the disk is full while writing${path}; free some space or choose another place with --out.`;
    case 'EDQUOT':
      return `the disk quota is used up while writing${path}; free some space or choose another place with --out.`;
    case 'EBUSY':
      return `${path.trim() || 'a path'} is in use, as a mount point (a volume) is; choose another place with --out.`;
    case 'EISDIR':
    case 'ENOTDIR':
      return `${path.trim() || 'a path'} is ${error.code === 'EISDIR' ? 'a folder where a file is expected' : 'not a folder'}; check the path.`;
    default:
      return undefined;
  }
}
