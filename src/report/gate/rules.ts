import type { DropLimit } from '../../drop-limit.ts';
import { UserError } from '../../errors.ts';
import { nearest } from '../../messages.ts';
import { formOf, patternRules, ruleForms } from './forms.ts';

/** A failed rule of level `error` fails the gate; `warn` only says so; `off` leaves it out. */
export type Level = 'warn' | 'error';

interface AnyRule {
  /** Default `error`. */
  readonly level?: Level | 'off';
}

/** MLPerf's closed division: at least 99 % or 99.9 % of what the reference reaches. */
export type AccuracyPreset = 'mlperf-99' | 'mlperf-99.9';

/** The drop of the task metric, on the same samples. */
export interface AccuracyRule extends AnyRule {
  /** A difference of the metric, or a share such as `"1%"` of what the reference reaches. Default: the limit that the report was made with. */
  readonly maxDrop?: DropLimit;
  readonly preset?: AccuracyPreset;
  /** Against base (default), or what the stored baseline recommends. */
  readonly of?: 'base' | 'baseline';
  /**
   * `point` (default): the drop as measured. `bound`: the worse end of its 95 % interval, so that a small set proves nothing.
   * `interval`: kept when the whole interval keeps the limit, broken when the whole interval breaks it, else undecided.
   */
  readonly on?: 'point' | 'bound' | 'interval';
}

/** The drop of each class of the label. */
export interface ClassRule extends AnyRule {
  readonly maxDrop: number;
  /** Classes with fewer samples are left out. Default 1. */
  readonly minSamples?: number;
  /** `test` (default): a drop that may be chance, all classes considered, is undecided. `point`: as measured. */
  readonly on?: 'test' | 'point';
}

/** One of the two at least. */
export interface AgreementRule extends AnyRule {
  /** Share of samples with the same highest class, 0…1. */
  readonly min?: number;
  /** For outputs that are no scores of classes: decibels. */
  readonly minSqnrDb?: number;
}

/** At most `max`: a number in the unit of the rule, or a share such as `"80%"` of base or of the stored baseline. */
export interface MaxRule extends AnyRule {
  readonly max: number | `${number}%`;
  /** What a share is of; default base. */
  readonly of?: 'base' | 'baseline';
}

/** What ONNX Runtime made of the file; one of the two at least. */
export interface FusedRule extends AnyRule {
  /** Of the heavy nodes (convolutions, matrix products, attention, recurrent layers), the share that runs on integers, 0…1. */
  readonly minShare?: number;
  /** At least so many of each fused operator, by name with or without its domain. */
  readonly ops?: Readonly<Record<string, number>>;
}

/** What the gate asks. `verdict` and `accuracy` are judged unless they are `"off"`, the others where they are named. */
export interface GateRules {
  /** The report says that every target has a variant that keeps the floor. */
  readonly verdict?: 'off' | AnyRule;
  readonly accuracy?: 'off' | AccuracyRule;
  readonly 'accuracy.classes'?: 'off' | ClassRule;
  /** With base, on the CPU. */
  readonly agreement?: 'off' | AgreementRule;
  /** With its own outputs on the CPU, on the provider named: `agreement.web-webgpu`. */
  readonly [agreement: `agreement.${string}`]: 'off' | AgreementRule | undefined;
  /** Bytes of the file, external data included. */
  readonly size?: 'off' | MaxRule;
  /** Bytes of a download. */
  readonly compressed?: 'off' | MaxRule;
  /** Milliseconds to load the file, and of the first inference after it. */
  readonly session?: 'off' | MaxRule;
  readonly first?: 'off' | MaxRule;
  /** Highest memory of the process, bytes. */
  readonly rss?: 'off' | MaxRule;
  /** Quantize and dequantize nodes that the runtime did not absorb; casts that it put in; heavy nodes in float. */
  readonly 'audit.leftoverQdq'?: 'off' | MaxRule;
  readonly 'audit.insertedCasts'?: 'off' | MaxRule;
  readonly 'audit.floatNodes'?: 'off' | MaxRule;
  readonly fused?: 'off' | FusedRule;
  /** Milliseconds, on the provider that decided for the target. */
  readonly 'latency.p50'?: 'off' | MaxRule;
  readonly 'latency.p90'?: 'off' | MaxRule;
  readonly 'latency.p95'?: 'off' | MaxRule;
  readonly 'latency.p99'?: 'off' | MaxRule;
  /** Milliseconds on the provider named: `latency.p50.cpu`. */
  readonly [latency: `latency.${'p50' | 'p90' | 'p95' | 'p99'}.${string}`]: 'off' | MaxRule | undefined;
}

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
    if (!form) throw refuse('gate.rule', `gate has no rule "${name}"${suggest(name)}`);
    if (rule === 'off' || rule === undefined) continue;
    const known = Object.keys(form.keys);
    if (!isObject(rule))
      throw refuse('gate.value', `the rule ${name} takes "off" or { ${known.join(', ')} }, not ${show(rule)}`);
    for (const [key, entry] of Object.entries(rule)) {
      const check = Object.hasOwn(form.keys, key) ? form.keys[key] : undefined;
      if (!check) throw refuse('gate.rule', `the rule ${name} has no setting "${key}"${nearest(key, known)}`);
      const [ok, expected] = check;
      if (entry !== undefined && !ok(entry))
        throw refuse('gate.value', `${key} of the rule ${name} takes ${expected}, not ${show(entry)}`);
    }
    const problem = form.problem?.(rule);
    if (problem !== undefined) throw refuse('gate.value', `the rule ${name} ${problem}`);
  }
}

/** `latency.p5O.cpu`: the part before the provider is compared, for the provider may be any name. */
function suggest(name: string): string {
  const names = Object.keys(ruleForms);
  const cut = patternRules.exec(name);
  const near = nearest(cut?.[1] ?? name, names);
  if (!near.includes('did you mean')) return '; docs/ci.md has the list';
  return cut ? near.replace(/"\?\)$/, `.${cut[2]}"?)`) : near;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
