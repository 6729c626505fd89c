import { join } from 'node:path';
import { UserError } from '../errors.ts';
import type { Finding } from './inspect.ts';
import type { Manifest, ManifestProgram } from './manifest.ts';
import { type GotTensor, judge, type LoadedCase, type LoadedTensor, type Replay } from './replay.ts';
import { widest } from './tolerance.ts';
import { type Axes, backward, forward } from './transpose.ts';

/** What stands as start command in a bundle that nothing starts: the way to try its programs. */
export const programsCommand = 'npx mlpack check .';

/** A loaded program: answers one golden case. */
export interface RunningProgram {
  /** On which provider of the manifest, and in words how. */
  readonly provider: string;
  readonly how: string;
  run(inputs: readonly LoadedTensor[]): Promise<readonly GotTensor[]>;
  close(): Promise<void>;
}

/** Loads a program file. @throws UserError when it cannot be loaded. */
export type ProgramRunner = (file: string, program: ManifestProgram) => Promise<RunningProgram>;

/** By format: what this machine can run. */
export type ProgramRunners = Readonly<Record<string, ProgramRunner>>;

/** Replays the golden cases through every program of the bundle that this machine can run; says which it cannot. */
export async function replayPrograms(
  dir: string,
  manifest: Manifest,
  cases: readonly LoadedCase[],
  { runners, findings, notes }: { runners: ProgramRunners; findings: Finding[]; notes: string[] },
): Promise<Replay[]> {
  const replays: Replay[] = [];
  for (const program of manifest.programs ?? []) {
    const runner = runners[program.format];
    if (!runner) {
      notes.push(`${program.path} is not executed here: nothing on this machine runs the format ${program.format}.`);
      continue;
    }
    const own = casesOf(program, cases);
    try {
      replays.push(await replayOne(join(dir, program.path), program, own, runner, findings));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (error.code === 'tool-missing') {
        notes.push(`${program.path} is not executed here: ${error.message}.`);
        continue;
      }
      findings.push({ code: 'program-fails', message: error.message, file: program.path });
    }
  }
  return replays;
}

function casesOf(program: ManifestProgram, cases: readonly LoadedCase[]): LoadedCase[] {
  const chosen = program.cases === undefined ? cases : cases.filter((_, n) => program.cases?.includes(n));
  const { tolerance } = program;
  if (!tolerance) return [...chosen];
  return chosen.map((one) => ({
    ...one,
    tolerance,
    outputs: one.outputs.map((output) =>
      output.tolerance ? { ...output, tolerance: widest([output.tolerance, tolerance]) } : output,
    ),
  }));
}

async function replayOne(
  file: string,
  program: ManifestProgram,
  cases: readonly LoadedCase[],
  runner: ProgramRunner,
  findings: Finding[],
): Promise<Replay> {
  const running = await runner(file, program);
  try {
    const answers: GotTensor[][] = [];
    for (const { inputs } of cases) {
      const outputs = await running.run(inputs.map((tensor) => forward(tensor, axesOf(program, tensor.name))));
      answers.push(outputs.map((tensor) => backward(tensor, axesOf(program, tensor.name))));
    }
    return judge({ provider: running.provider, how: `${program.path}, ${running.how}` }, cases, answers, findings);
  } finally {
    await running.close();
  }
}

function axesOf(program: ManifestProgram, name: string): Axes | undefined {
  return program.axes && Object.hasOwn(program.axes, name) ? program.axes[name] : undefined;
}
