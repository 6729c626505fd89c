import { passes } from '../../passes/index.ts';
import { presets } from '../../passes/presets.ts';
import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import type { Pass, Step } from '../pass/pass.ts';
import { makeStep } from '../pass/resolve-options.ts';
import { splitStep } from './split-step.ts';

/** `fuse`, `quantize-weights:bits=4,symmetric=false`, or the name of a preset. */
export function parseStep(text: string): Step[] {
  const { name, given } = splitStep(text);
  const preset = presets[name];
  if (preset && !text.includes(':')) return [...preset];
  return [makeStep(findPass(name), given)];
}

/** @throws UserError with the nearest name. */
export function findPass(name: string): Pass {
  const pass = passes.find((candidate) => candidate.id === name);
  if (pass) return pass;
  const known = [...passes.map((candidate) => candidate.id), ...Object.keys(presets)];
  throw new UserError(
    'pass.unknown',
    `there is no pass "${name}"${nearest(name, known)}; \`mlpack --help\` lists them.`,
  );
}
