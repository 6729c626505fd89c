import { dropLimitForm, readDropLimit } from '../../drop-limit.ts';

/** What each rule of the gate may say, for checking a config that was written by hand. */

export type Check = readonly [ok: (value: unknown) => boolean, expected: string];

export interface RuleForm {
  readonly keys: Readonly<Record<string, Check>>;
  /** What is wrong with a rule whose settings are each in order: a clause that follows its name. */
  readonly problem?: (rule: Readonly<Record<string, unknown>>) => string | undefined;
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const isPercent = (value: unknown): boolean => typeof value === 'string' && /^\d+(\.\d+)?%$/.test(value);
const among = (...words: readonly string[]): Check => [
  (value) => words.includes(value as string),
  words.map((word, at) => `${at === 0 ? '' : at === words.length - 1 ? ' or ' : ', '}"${word}"`).join(''),
];

const share: Check = [(value) => isNumber(value) && value >= 0 && value <= 1, 'a number from 0 to 1'];
const level = among('off', 'warn', 'error');
const of = among('base', 'baseline');
const max: Check = [
  (value) => (isNumber(value) && value >= 0) || isPercent(value),
  'a number from 0, or a share such as "80%"',
];

const maxForm: RuleForm = {
  keys: { max, of, level },
  problem: (rule) => {
    if (rule.max === undefined) return `needs max: ${max[1]}`;
    if (rule.of !== undefined && isNumber(rule.max))
      return `says of what its limit is a share, and the limit ${rule.max} is none; write it as "80%"`;
    return undefined;
  },
};

const accuracyForm: RuleForm = {
  // A drop is a difference of metrics, which need not be shares.
  keys: {
    maxDrop: [(value) => (isNumber(value) || isPercent(value)) && readDropLimit(value) !== undefined, dropLimitForm],
    preset: among('mlperf-99', 'mlperf-99.9'),
    of,
    on: among('point', 'bound', 'interval'),
    level,
  },
  problem: ({ maxDrop, preset }) =>
    maxDrop !== undefined && preset !== undefined
      ? 'has two limits, maxDrop and preset; leave one of them out'
      : undefined,
};

const classForm: RuleForm = {
  keys: {
    maxDrop: share,
    minSamples: [(value) => Number.isSafeInteger(value) && (value as number) > 0, 'a whole number from 1'],
    on: among('test', 'point'),
    level,
  },
  problem: (rule) => (rule.maxDrop === undefined ? `needs maxDrop: ${share[1]}` : undefined),
};

const agreementForm: RuleForm = {
  keys: { min: share, minSqnrDb: [isNumber, 'a number of decibels'], level },
  problem: (rule) =>
    rule.min === undefined && rule.minSqnrDb === undefined
      ? `needs min: ${share[1]}; or minSqnrDb: a number of decibels`
      : undefined,
};

const fusedForm: RuleForm = {
  keys: {
    minShare: share,
    ops: [
      (value) =>
        typeof value === 'object' &&
        value !== null &&
        !Array.isArray(value) &&
        Object.values(value).every((count) => Number.isSafeInteger(count) && (count as number) >= 0),
      'counts by operator, such as { "FusedConv": 8 }',
    ],
    level,
  },
  problem: (rule) =>
    rule.minShare === undefined && rule.ops === undefined
      ? `needs minShare: ${share[1]}; or ops: counts by operator`
      : undefined,
};

/** Every rule by name; those of `patternRules` also with a provider behind them. */
export const ruleForms: Readonly<Record<string, RuleForm>> = {
  verdict: { keys: { level } },
  accuracy: accuracyForm,
  'accuracy.classes': classForm,
  agreement: agreementForm,
  size: maxForm,
  compressed: maxForm,
  session: maxForm,
  first: maxForm,
  rss: maxForm,
  'audit.leftoverQdq': maxForm,
  'audit.insertedCasts': maxForm,
  'audit.floatNodes': maxForm,
  fused: fusedForm,
  'latency.p50': maxForm,
  'latency.p90': maxForm,
  'latency.p95': maxForm,
  'latency.p99': maxForm,
};

/** Rules that take a provider: any name, with its options (`cpu:threads=1`), for which ones were measured, the report knows. */
export const patternRules = /^(latency\.\w+|agreement)\.([\w-][^\s]*)$/;

export function formOf(name: string): RuleForm | undefined {
  if (Object.hasOwn(ruleForms, name)) return ruleForms[name];
  const plain = patternRules.exec(name)?.[1];
  return plain !== undefined && Object.hasOwn(ruleForms, plain) ? ruleForms[plain] : undefined;
}
