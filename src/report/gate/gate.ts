/** The gate: what a Report must keep, for CI. A pure function; renderers are in reports/gate. */
import { UserError } from '../../errors.ts';
import { nearest } from '../../messages.ts';
import { measuredProviders, variantOf } from '../facts.ts';
import { fingerprint } from '../machine.ts';
import type { Report } from '../report.ts';
import { sentence } from '../words.ts';
import { judgeAccuracy } from './accuracy.ts';
import { judgeAgreement } from './agreement.ts';
import { judgeClasses } from './classes.ts';
import type { Finding, Judgement, Subject } from './finding.ts';
import { judgeFused } from './fused.ts';
import { judgeMax } from './measures.ts';
import type { ClassRule, GateRules, Level, MaxRule } from './rules.ts';

export interface GateOptions {
  /** This variant instead of the recommended ones. */
  readonly variant?: string;
  /** A stored report about the same model: see `checkBaseline`. */
  readonly baseline?: Report;
  /** An undecided rule counts as failed. */
  readonly strict?: boolean;
}

export interface GateResult {
  readonly ok: boolean;
  /** The model as the report names it, and its SHA-256. */
  readonly model: string;
  readonly sha256: string;
  readonly bytes: number;
  /** When the report was made, ISO 8601. */
  readonly createdAt: string;
  /** Fingerprints: times are only compared where the two are equal. */
  readonly machine: string;
  readonly baseline: { readonly createdAt: string; readonly machine: string } | null;
  readonly findings: readonly Finding[];
}

type AnyRule = Exclude<GateRules[keyof GateRules], undefined>;

/**
 * Judges the variants that the report recommends, or the one named, by the rules. `verdict` and `accuracy` are judged unless
 * they are off; a rule that cannot be judged is undecided, and its sentence says what would help.
 * @throws UserError variant.unknown
 */
export function gate(report: Report, rules: GateRules, options: GateOptions = {}): GateResult {
  // A config in JavaScript may say `accuracy: undefined`, which is not "off".
  const { verdict = {}, accuracy = {} } = rules;
  const all: GateRules = { ...{ verdict, accuracy }, ...rules, ...{ verdict, accuracy } };
  const subjects = findSubjects(report, options);
  const findings: Finding[] = [];
  for (const [name, rule] of Object.entries(all) as [string, AnyRule][]) {
    if (rule === undefined || rule === 'off' || rule.level === 'off') continue;
    const level = rule.level ?? 'error';
    const add = (subject: Subject | undefined, judgement: Judgement): void => {
      findings.push(toFinding(name, level, subject, judgement, options.strict === true));
    };
    if (name === 'verdict') {
      add(options.variant === undefined ? undefined : subjects[0], judgeVerdict(report, options.variant));
    } else if (subjects.length === 0) {
      add(undefined, { status: 'undecided', said: 'no variant is recommended, so there is none to judge' });
    } else {
      for (const subject of subjects) add(subject, judge(name, rule, subject));
    }
  }
  const merged = mergeTargets(findings);
  const { input, createdAt } = report;
  return {
    ok: !merged.some((finding) => finding.fails),
    model: input.path,
    sha256: input.sha256,
    bytes: input.bytes,
    createdAt,
    machine: fingerprint(report.host),
    baseline: options.baseline
      ? { createdAt: options.baseline.createdAt, machine: fingerprint(options.baseline.host) }
      : null,
    findings: merged,
  };
}

function judge(name: string, rule: object, subject: Subject): Judgement {
  if (name === 'accuracy') return judgeAccuracy(rule, subject);
  if (name === 'accuracy.classes') return judgeClasses(rule as ClassRule, subject);
  if (name === 'fused') return judgeFused(rule, subject);
  const [family, ...provider] = name.split('.');
  if (family === 'agreement') return judgeAgreement(rule, subject, provider.join('.') || undefined);
  return judgeMax(name, rule as MaxRule, subject);
}

function judgeVerdict(report: Report, name: string | undefined): Judgement {
  const variant = name === undefined ? undefined : variantOf(report, name);
  const ok = variant ? variant.verdict !== 'rejected' : report.verdict.ok;
  const reasons = (variant ?? report.verdict).reasons.join('; ') || (ok ? 'everything was kept' : 'no reason is given');
  return { status: ok ? 'ok' : 'failed', said: variant ? `${variant.verdict}: ${reasons}` : reasons };
}

/** What is judged: each recommended variant with its target, or the one asked for. */
function findSubjects(report: Report, { variant: name, baseline }: GateOptions): Subject[] {
  const reports = { report, baseline };
  if (name !== undefined) {
    const variant = variantOf(report, name);
    if (!variant) {
      const known = report.variants.map((one) => one.name);
      throw new UserError('variant.unknown', `the report has no variant "${name}"${nearest(name, known)}.`);
    }
    const own = report.recommendations.find((one) => one.variant === name)?.provider;
    const provider = own ?? measuredProviders(report)[0];
    return [{ ...reports, variant, targets: [], provider, before: baseline && variantOf(baseline, name) }];
  }
  return report.recommendations.flatMap(({ target, provider, variant: chosen }) => {
    const variant = variantOf(report, chosen);
    const shipped = baseline?.recommendations.find((one) => one.target === target)?.variant;
    const before = baseline && shipped !== undefined ? variantOf(baseline, shipped) : undefined;
    return variant ? [{ ...reports, variant, targets: [target], provider, before }] : [];
  });
}

function toFinding(
  rule: string,
  level: Level,
  subject: Subject | undefined,
  { status, said, value, limit }: Judgement,
  strict: boolean,
): Finding {
  const fails = level === 'error' && (status === 'failed' || (strict && status === 'undecided'));
  const text = subject ? `${subject.variant.name}: ${said.trim()}` : said;
  return {
    rule,
    level,
    status,
    fails,
    variant: subject?.variant.name ?? null,
    targets: subject?.targets ?? [],
    value: value ?? null,
    limit: limit ?? null,
    sentence: sentence(text),
  };
}

/** Targets that share a variant mostly get the same answer: it is given once. */
function mergeTargets(findings: readonly Finding[]): Finding[] {
  const merged = new Map<string, Finding>();
  for (const finding of findings) {
    const key = `${finding.rule}\0${finding.sentence}`;
    const same = merged.get(key);
    merged.set(key, same ? { ...same, targets: [...same.targets, ...finding.targets] } : finding);
  }
  return [...merged.values()];
}
