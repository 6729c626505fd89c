import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';

/** A failed rule of level `error` fails the gate; `warn` only says so. */
export type Level = 'warn' | 'error';

interface AnyRule {
  /** Default `error`. */
  readonly level?: Level;
}

/** The drop of the task metric against base, on the same samples. */
export interface AccuracyRule extends AnyRule {
  /** Default: the limit that the report was made with. */
  readonly maxDrop?: number;
  /** `point` (default): the drop as measured. `bound`: the worse end of its 95 % interval, so that a small set proves nothing. */
  readonly on?: 'point' | 'bound';
}

export interface MinRule extends AnyRule {
  readonly min: number;
}

/** At most `max`: a number in the unit of the rule, or a share such as `"80%"` of base or of the stored baseline. */
export interface MaxRule extends AnyRule {
  readonly max: number | `${number}%`;
  /** What a share is of; default base. */
  readonly of?: 'base' | 'baseline';
}

/** What the gate asks. `verdict` and `accuracy` are judged unless they are `"off"`, the others where they are named. */
export interface GateRules {
  /** The report says that every target has a variant that keeps the floor. */
  readonly verdict?: 'off' | AnyRule;
  readonly accuracy?: 'off' | AccuracyRule;
  /** Share of samples with the same highest class as base, 0…1. */
  readonly agreement?: 'off' | MinRule;
  /** Bytes of the file, external data included. */
  readonly size?: 'off' | MaxRule;
  /** Bytes of a download. */
  readonly compressed?: 'off' | MaxRule;
  /** Milliseconds to load the file. */
  readonly session?: 'off' | MaxRule;
  /** Highest memory of the process, bytes. */
  readonly rss?: 'off' | MaxRule;
  /** Quantize and dequantize nodes that the runtime did not absorb. */
  readonly 'audit.leftoverQdq'?: 'off' | MaxRule;
  /** Milliseconds, on the provider that decided for the target. */
  readonly 'latency.p50'?: 'off' | MaxRule;
  readonly 'latency.p90'?: 'off' | MaxRule;
  readonly 'latency.p99'?: 'off' | MaxRule;
  /** Milliseconds on the provider named: `latency.p50.cpu`. */
  readonly [latency: `latency.${'p50' | 'p90' | 'p99'}.${string}`]: 'off' | MaxRule | undefined;
}

type Check = readonly [ok: (value: unknown) => boolean, expected: string];

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
const share: Check = [(value) => isNumber(value) && value >= 0 && value <= 1, 'a number from 0 to 1'];
const level: Check = [(value) => value === 'warn' || value === 'error', '"warn" or "error"'];
const max: Check = [
  (value) => (isNumber(value) && value >= 0) || (typeof value === 'string' && /^\d+(\.\d+)?%$/.test(value)),
  'a number from 0, or a share such as "80%"',
];

const maxKeys = {
  max,
  of: [(value) => value === 'base' || value === 'baseline', '"base" or "baseline"'],
} as const satisfies Record<string, Check>;

interface Form {
  readonly keys: Readonly<Record<string, Check>>;
  readonly required?: string;
}

const maxForm: Form = { keys: { ...maxKeys, level }, required: 'max' };
const forms: Readonly<Record<string, Form>> = {
  verdict: { keys: { level } },
  accuracy: {
    // A drop is a difference of metrics, which need not be shares.
    keys: {
      maxDrop: [(value) => isNumber(value) && value >= 0, 'a number from 0'],
      on: [(value) => value === 'point' || value === 'bound', '"point" or "bound"'],
      level,
    },
  },
  agreement: { keys: { min: share, level }, required: 'min' },
  size: maxForm,
  compressed: maxForm,
  session: maxForm,
  rss: maxForm,
  'audit.leftoverQdq': maxForm,
  'latency.p50': maxForm,
  'latency.p90': maxForm,
  'latency.p99': maxForm,
};

/**
 * Checks what a config says under `gate`.
 * @param source how messages name the place, a file usually
 * @throws UserError gate.rule or gate.value, with the nearest name
 */
export function checkGateRules(value: unknown, source: string): asserts value is GateRules {
  const refuse = (code: string, message: string): UserError => new UserError(code, `${source}: ${message}.`);
  if (!isObject(value)) throw refuse('gate.value', 'gate takes rules by name, such as { "size": { "max": "30%" } }');
  for (const [name, rule] of Object.entries(value)) {
    const form = formOf(name);
    if (!form) throw refuse('gate.rule', `gate has no rule "${name}"${nearest(name, Object.keys(forms))}`);
    if (rule === 'off' || rule === undefined) continue;
    const known = Object.keys(form.keys);
    if (!isObject(rule))
      throw refuse(
        'gate.value',
        `the rule ${name} takes "off" or { ${known.join(', ')} }, not ${JSON.stringify(rule)}`,
      );
    for (const [key, entry] of Object.entries(rule)) {
      const check = Object.hasOwn(form.keys, key) ? form.keys[key] : undefined;
      if (!check) throw refuse('gate.rule', `the rule ${name} has no setting "${key}"${nearest(key, known)}`);
      const [ok, expected] = check;
      if (entry !== undefined && !ok(entry))
        throw refuse('gate.value', `${key} of the rule ${name} takes ${expected}, not ${JSON.stringify(entry)}`);
    }
    const { required } = form;
    if (required !== undefined && rule[required] === undefined)
      throw refuse('gate.value', `the rule ${name} needs ${required}: ${form.keys[required]?.[1]}`);
    if (rule.of !== undefined && isNumber(rule.max))
      throw refuse(
        'gate.value',
        `the rule ${name} says of what its limit is a share, and the limit ${rule.max} is none; write it as "80%"`,
      );
  }
}

/** A provider behind a latency rule is any name: which ones were measured, the report knows. */
function formOf(name: string): Form | undefined {
  const plain = /^(latency\.p\d+)\.[\w-]+$/.exec(name)?.[1] ?? name;
  return Object.hasOwn(forms, plain) ? forms[plain] : undefined;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
