import { UserError } from '../errors.ts';
import { launchChromium } from './chromium.ts';
import { type Finding, inspectBundle, readManifest } from './inspect.ts';
import type { Manifest } from './manifest.ts';
import { carriedByJson } from './number-bytes.ts';
import { nodeArguments, startBundle } from './process.ts';
import { loadGolden, type Replay } from './replay.ts';
import { replayBrowser } from './replay-browser.ts';
import { replayHttp } from './replay-http.ts';
import { replayLambda } from './replay-lambda.ts';
import { replayLines } from './replay-lines.ts';
import { type ProgramRunners, programsCommand, replayPrograms } from './replay-programs.ts';
import { prepareStage } from './stage.ts';

export interface CheckOptions {
  /** Start the bundle and replay its golden cases; default true. Without, only files and manifest are checked. */
  readonly replay?: boolean;
  /** Install a copy of a bundle that is not installed (npm, network); default true. */
  readonly install?: boolean;
  /** Path of Chromium or Chrome; default: where systems usually have it. */
  readonly chromium?: string;
  /** Longest wait for the bundle to be ready, and for one page to finish; default 120 s. */
  readonly timeoutMs?: number;
  /** What runs the programs of a bundle that is not started, by their format (`src/cli/program-runners.ts`); default none. */
  readonly runners?: ProgramRunners;
  readonly signal?: AbortSignal;
  /** Told what happens, in words. */
  readonly onProgress?: (text: string) => void;
}

export interface CheckResult {
  readonly ok: boolean;
  /** Undefined where it could not be read. */
  readonly manifest: Manifest | undefined;
  readonly findings: readonly Finding[];
  readonly replays: readonly Replay[];
  /** What was not checked here and why; not a failure. */
  readonly notes: readonly string[];
}

/**
 * Checks that a bundle is whole, then starts it as it documents and replays its golden inputs. A bundle with any finding is
 * not started. Starting runs the bundle's own code: hashes show that nothing changed since it was made, not who made it.
 * @throws UserError when the folder is no bundle, or something this machine lacks is needed (npm, Chromium).
 */
export async function checkBundle(dir: string, options: CheckOptions = {}): Promise<CheckResult> {
  const say = options.onProgress ?? (() => {});
  let manifest: Manifest;
  try {
    manifest = await readManifest(dir);
  } catch (error) {
    if (!(error instanceof UserError) || error.code === 'bundle-open') throw error;
    return result(undefined, [{ code: error.code, message: error.message, file: 'mlpack.json' }], [], []);
  }
  say(`verifying ${manifest.files.length} files`);
  const findings = await inspectBundle(dir, manifest, options.signal);
  if (findings.length > 0 || options.replay === false) return result(manifest, findings, [], []);
  const notes: string[] = [];
  if (manifest.golden.length === 0)
    notes.push('The bundle has no golden cases: it is started, and nothing is compared.');
  const replays = await replayBundle(dir, manifest, { ...options, findings, notes, say });
  return result(manifest, findings, replays, notes);
}

function result(
  manifest: Manifest | undefined,
  findings: readonly Finding[],
  replays: readonly Replay[],
  notes: readonly string[],
): CheckResult {
  return { ok: findings.length === 0 && replays.every(({ ok }) => ok), manifest, findings, replays, notes };
}

interface ReplayContext extends CheckOptions {
  readonly findings: Finding[];
  readonly notes: string[];
  readonly say: (text: string) => void;
}

async function replayBundle(dir: string, manifest: Manifest, context: ReplayContext): Promise<Replay[]> {
  const { findings, notes, say, signal, timeoutMs = 120_000 } = context;
  const command = manifest.commands.start;
  if (manifest.kind === 'programs') {
    if (command !== programsCommand) {
      throw new UserError(
        'bundle-command',
        `The start command "${command}" is not "${programsCommand}", so it is not run.`,
      );
    }
    const cases = await loadGolden(dir, manifest);
    say(`replaying ${cases.length} golden cases`);
    return replayPrograms(dir, manifest, cases, { runners: context.runners ?? {}, findings, notes });
  }
  const args = nodeArguments(command, new Set(manifest.files.map(({ path }) => path)));
  const cases = await loadGolden(dir, manifest);
  // Asked for before anything is started: its absence is the likeliest failure.
  const browser = manifest.kind === 'browser' ? await launchChromium(context.chromium) : undefined;
  try {
    if (manifest.commands.install !== null) say(`preparing: ${manifest.commands.install}`);
    const stage = await prepareStage(dir, manifest, context.install ?? true, signal);
    try {
      if (manifest.kind === 'lines' || manifest.kind === 'lambda') {
        const replay = manifest.kind === 'lines' ? replayLines : replayLambda;
        say(`replaying ${cases.length} golden cases`);
        const chosen = carriedByJson(cases, notes);
        return await replay(args, manifest, chosen, { command, dir: stage.dir, timeoutMs, signal, findings });
      }
      say(`starting: ${command}`);
      const readyPath = manifest.kind === 'http-v2' ? '/v2/health/ready' : '/';
      const running = await startBundle(args, { command, dir: stage.dir, readyPath, timeoutMs, signal });
      try {
        say(`replaying ${cases.length} golden cases`);
        if (browser) return await replayBrowser(browser, running.url, manifest, cases, { timeoutMs, findings, notes });
        const replays = await replayHttp(running.url, manifest, cases, findings, { timeoutMs, signal });
        return replays.map((one) => ({ ...one, readyMs: running.readyMs }));
      } finally {
        // Windows has no SIGTERM: there the process is simply ended.
        if (!(await running.stop()) && process.platform !== 'win32') {
          findings.push({ code: 'no-graceful-exit', message: `"${command}" did not end cleanly on SIGTERM.` });
        }
      }
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== 'bundle-start') throw error;
      findings.push({ code: error.code, message: error.message });
      return [];
    } finally {
      await stage.remove();
    }
  } finally {
    await browser?.close();
  }
}
