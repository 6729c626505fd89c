import type { CommandModule } from './command.ts';
import * as bench from './commands/bench.ts';
import * as bundle from './commands/bundle.ts';
import * as channel from './commands/channel.ts';
import * as check from './commands/check.ts';
import * as compare from './commands/compare.ts';
import * as data from './commands/data.ts';
import * as doctor from './commands/doctor.ts';
import * as evaluate from './commands/eval.ts';
import * as explain from './commands/explain.ts';
import * as exportTeacher from './commands/export-teacher.ts';
import * as gate from './commands/gate.ts';
import * as init from './commands/init.ts';
import * as inspect from './commands/inspect.ts';
import * as optimize from './commands/optimize.ts';
import * as report from './commands/report.ts';
import * as run from './commands/run.ts';
import * as sbom from './commands/sbom.ts';
import * as sensitivity from './commands/sensitivity.ts';
import * as sign from './commands/sign.ts';
import * as verify from './commands/verify.ts';

/** By name, in the order of `--help`. The pass commands follow (pass-commands.ts). */
export const commands: ReadonlyMap<string, CommandModule> = new Map<string, CommandModule>([
  ['optimize', optimize],
  ['inspect', inspect],
  ['run', run],
  ['explain', explain],
  ['sensitivity', sensitivity],
  ['compare', compare],
  ['eval', evaluate],
  ['data', data],
  ['bench', bench],
  ['gate', gate],
  ['report', report],
  ['bundle', bundle],
  ['check', check],
  ['sign', sign],
  ['verify', verify],
  ['sbom', sbom],
  ['channel', channel],
  ['export-teacher', exportTeacher],
  ['doctor', doctor],
  ['init', init],
]);
