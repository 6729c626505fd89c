import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { cacheKey } from '../../cache/key.ts';
import { GateError, UserError } from '../../errors.ts';
import type { StepResult } from '../../report/report.ts';
import { anything, array, count, literal, nullable, object, optional, record, string } from '../../report/schema.ts';
import { firstProblem } from '../../report/validate.ts';
import type { Session } from '../command.ts';
import type { Built } from './built.ts';
import type { Identity } from './identity.ts';
import { stepsOf } from './pass-cache.ts';
import type { VariantPlan } from './variants.ts';

const schema = 'mlpack.lock/1';
export const lockName = 'mlpack.lock.json';

interface LockedVariant {
  /** Steps asked for, with all their options. */
  readonly plan: ReturnType<typeof stepsOf>;
  /** Of the model file; null where none was built. */
  readonly sha256: string | null;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /** What each step did, hashed: the first that differs is where two runs parted. */
  readonly steps: readonly { readonly pass: string; readonly did: string }[];
}

const texts = array('Texts.', string('A text.'));
const byName = record('By name.', anything('A value.'));

/** As far as runs are held against it. */
const lockShape = object('A lock.', {
  schema: literal('Version of this format.', schema),
  inputs: string('A hash.'),
  tool: object('What built.', { version: string('Of mlpack.'), code: string('A hash.') }),
  runtime: object('What ran.', { ort: string('A version.'), platform: string('Of Node.js.'), flags: texts }),
  model: object('What it was built from.', {
    sha256: string('Of the file.'),
    externalData: record('By name.', string('SHA-256.')),
  }),
  data: nullable(
    object('Samples.', {
      sha256: string('Of the folder.'),
      files: count('How many.'),
      preparation: optional(texts),
    }),
  ),
  options: byName,
  variants: record(
    'By name.',
    object('One of them.', {
      plan: array('Steps.', object('One of them.', { pass: string('Its id.'), options: byName })),
      sha256: nullable(string('Of the file.')),
      files: array(
        'Files.',
        object('One of them.', { name: string('Its name.'), bytes: count('Its size.'), sha256: string('Its hash.') }),
      ),
      steps: array('What steps did.', object('One of them.', { pass: string('Its id.'), did: string('A hash.') })),
    }),
  ),
});

/** What a run was made of and what came out, so that another run can be held against it. */
export interface Lock extends Identity {
  readonly schema: typeof schema;
  /** Hash of model, data, options and plans: equal for runs that should give the same files. */
  readonly inputs: string;
  readonly variants: Readonly<Record<string, LockedVariant>>;
}

/** @param later what was built because of how the others did: locked too, but no part of what was asked for */
export function makeLock(
  identity: Identity,
  plans: readonly VariantPlan[],
  built: readonly Built[],
  later: readonly VariantPlan[] = [],
): Lock {
  const variants = [...plans, ...later].map(({ name, steps }): [string, LockedVariant] => {
    const one = built.find((candidate) => candidate.name === name);
    return [
      name,
      {
        plan: stepsOf(steps),
        sha256: one?.sha256 ?? null,
        files: one?.files ?? [],
        steps: (one?.steps ?? []).map((step) => ({ pass: step.pass, did: whatItDid(step) })),
      },
    ];
  });
  const { model, data, options } = identity;
  const inputs = cacheKey({ model, data, options, plans: plans.map(({ name, steps }) => [name, stepsOf(steps)]) });
  return { schema, inputs, ...identity, variants: Object.fromEntries(variants) };
}

/** What can be seen of a step without its weights. */
function whatItDid({ pass, options, changed, applied, nodesBefore, nodesAfter }: StepResult): string {
  return cacheKey({ pass, options, changed, applied, nodesBefore, nodesAfter }).slice(0, 16);
}

/**
 * The lock of `--frozen`: the file named, else mlpack.lock.json in the working folder, else in the output folder.
 * @throws UserError when there is none, or it is none.
 */
export async function readLock(named: string | undefined, out: string, { io }: Session): Promise<Lock> {
  const places = named === undefined ? [join(io.cwd, lockName), join(out, lockName)] : [resolve(io.cwd, named)];
  const path = places.find((place) => existsSync(place));
  if (path === undefined) {
    const shown = places.map((place) => relative(io.cwd, place)).join(' or ');
    throw new UserError(
      'lock.missing',
      `there is no ${shown} to hold the run against; every run of optimize without --frozen writes one into its output folder.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    // A folder, or one that may not be read, is told by its own name.
    if (!(error instanceof SyntaxError)) throw error;
    throw new UserError('lock.broken', `"${path}" is not a lock of mlpack: it is no JSON (${error.message}).`, {
      cause: error,
    });
  }
  const found = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined;
  if (found !== schema) throw new UserError('lock.broken', `"${path}" is not a lock of this format (${schema}).`);
  const problem = firstProblem(lockShape.json, value);
  if (problem)
    throw new UserError(
      'lock.broken',
      `"${path}" is not a whole lock: ${problem.path} ${problem.message}; take the one that the run wrote.`,
    );
  return value as Lock;
}

/**
 * Before the work: whether it is the same that the lock was made of.
 * @throws GateError that names every input that differs.
 */
export function requireSameInputs(lock: Lock, now: Lock): void {
  const differences = inputDifferences(lock, now);
  if (differences.length === 0) return;
  throw new GateError('frozen.inputs', `the run is not the one of the lock: ${differences.join('; ')}.`);
}

function inputDifferences(lock: Lock, now: Lock): string[] {
  const differences: string[] = [];
  if (lock.model.sha256 !== now.model.sha256)
    differences.push(
      `the model is another file (sha256 ${short(now.model.sha256)} instead of ${short(lock.model.sha256)})`,
    );
  for (const name of union(lock.model.externalData, now.model.externalData)) {
    if (lock.model.externalData[name] !== now.model.externalData[name])
      differences.push(`the external data "${name}" of the model differs`);
  }
  if (lock.data?.sha256 !== now.data?.sha256)
    differences.push(
      lock.data === null || now.data === null
        ? `the lock was made ${lock.data === null ? 'without' : 'with'} data, this run ${now.data === null ? 'has none' : 'has some'}`
        : `the data differ (${now.data.files} files, ${lock.data.files} then)`,
    );
  const prepared = [lock.data?.preparation, now.data?.preparation].map((hashes) => hashes?.join());
  // Locks of earlier versions say nothing of it.
  if (prepared.every((hashes) => hashes !== undefined) && prepared[0] !== prepared[1])
    differences.push(
      'samples are prepared in another way (a tokenizer or an image processor beside the data or the model)',
    );
  for (const name of union(lock.options, now.options)) {
    const [then, value] = [lock.options[name], now.options[name]].map((one) => JSON.stringify(one));
    if (then !== value) differences.push(`the option ${name} is ${value}, and was ${then}`);
  }
  for (const name of union(lock.variants, now.variants)) {
    const [then, plan] = [lock.variants[name]?.plan, now.variants[name]?.plan];
    if (!then || !plan) differences.push(`the variant ${name} ${then ? 'is missing' : 'is not in the lock'}`);
    else if (cacheKey(then) !== cacheKey(plan)) differences.push(`the variant ${name} ${planDifference(then, plan)}`);
  }
  return differences;
}

function planDifference(then: LockedVariant['plan'], now: LockedVariant['plan']): string {
  for (let at = 0; at < Math.max(then.length, now.length); at++) {
    const [before, step] = [then[at], now[at]];
    if (before?.pass !== step?.pass)
      return `has ${step?.pass ?? 'no further step'} as step ${at + 1}, and had ${before?.pass ?? 'none'}`;
    for (const name of union(before?.options ?? {}, step?.options ?? {})) {
      const [was, is] = [before?.options[name], step?.options[name]].map((one) => JSON.stringify(one));
      if (was !== is) return `has ${name}=${is} in step ${at + 1} (${step?.pass}), and had ${was}`;
    }
  }
  return 'has other steps';
}

/**
 * After building: whether every file is the one of the lock, bit by bit.
 * @throws GateError that says for each which step went another way, and what else is different.
 */
export function requireSameFiles(lock: Lock, now: Lock): void {
  const differences = Object.entries(lock.variants).flatMap(([name, then]) => {
    const variant = now.variants[name];
    if (!variant || cacheKey(then.files) === cacheKey(variant.files)) return [];
    const at = then.steps.findIndex(({ did }, step) => did !== variant.steps[step]?.did);
    const where =
      at < 0
        ? `every step did the same to the graph, so values in it differ (sha256 ${short(variant.sha256)} instead of ${short(then.sha256)})`
        : `from step ${at + 1}, ${then.steps[at]?.pass}, on`;
    return [`${name} is another file: ${where}`];
  });
  if (differences.length === 0) return;
  const causes = causesOf(lock, now);
  const because =
    causes.length === 0 ? 'Tool, runtime and machine are the same: please report this' : causes.join('; ');
  throw new GateError('frozen.files', `${differences.join('; ')}. ${because}.`);
}

function causesOf(lock: Lock, now: Lock): string[] {
  const causes: string[] = [];
  if (lock.tool.version !== now.tool.version)
    causes.push(`mlpack is ${now.tool.version}, and was ${lock.tool.version}`);
  else if (lock.tool.code !== now.tool.code) causes.push(`mlpack ${now.tool.version} is another build`);
  if (lock.runtime.ort !== now.runtime.ort)
    causes.push(`ONNX Runtime is ${now.runtime.ort}, and was ${lock.runtime.ort}`);
  if (lock.runtime.platform !== now.runtime.platform)
    causes.push(`the platform is ${now.runtime.platform}, and was ${lock.runtime.platform}`);
  if (lock.runtime.flags.join() !== now.runtime.flags.join())
    causes.push(`the processor has ${now.runtime.flags.join(' ')}, and had ${lock.runtime.flags.join(' ')}`);
  return causes;
}

const short = (sha256: string | null | undefined): string => sha256?.slice(0, 12) ?? 'none';
const union = (a: object, b: object): string[] => [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
