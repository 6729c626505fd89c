/** The gate: what a Report must keep, for CI. A pure function; renderers are in reports/gate. */
import { UserError } from '../errors.ts';
import { nearest } from '../messages.ts';
import { measuredProviders, variantOf } from './facts.ts';
import { type Finding, type Judgement, judgeAccuracy, judgeAgreement, judgeMax, type Subject } from './gate-judge.ts';
import type { GateRules, Level, MaxRule, MinRule } from './gate-rules.ts';
import type { Report } from './report.ts';
import { sentence } from './words.ts';

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
  /** The model as the report names it. */
  readonly model: string;
  readonly findings: readonly Finding[];
}

/**
 * Judges the variants that the report recommends, or the one named, by the rules. `verdict` and `accuracy` are judged unless
 * they are off; a rule that cannot be judged is undecided, and its sentence says what would help.
 * @throws UserError variant.unknown
 */
export function gate(report: Report, rules: GateRules, options: GateOptions = {}): GateResult {
  const all: GateRules = { verdict: {}, accuracy: {}, ...rules };
  const subjects = findSubjects(report, options);
  const findings: Finding[] = [];
  for (const [name, rule] of Object.entries(all) as [string, Exclude<GateRules[keyof GateRules], undefined>][]) {
    if (rule === undefined || rule === 'off') continue;
    const level = rule.level ?? 'error';
    const add = (subject: Subject | undefined, judgement: Judgement): void => {
      findings.push(toFinding(name, level, subject, judgement, options.strict === true));
    };
    if (name === 'verdict') {
      add(options.variant === undefined ? undefined : subjects[0], judgeVerdict(report, options.variant));
    } else if (subjects.length === 0) {
      add(undefined, { status: 'undecided', said: 'no variant is recommended, so there is none to judge' });
    } else {
      for (const subject of subjects) add(subject, judge(name, rule, subject, report, options.baseline));
    }
  }
  const merged = mergeTargets(findings);
  return { ok: !merged.some((finding) => finding.fails), model: report.input.path, findings: merged };
}

function judge(name: string, rule: object, subject: Subject, report: Report, baseline: Report | undefined): Judgement {
  if (name === 'accuracy') return judgeAccuracy(rule, subject, report.limits);
  if (name === 'agreement') return judgeAgreement(rule as MinRule, subject);
  return judgeMax(name, rule as MaxRule, subject, report, baseline);
}

function judgeVerdict(report: Report, name: string | undefined): Judgement {
  const variant = name === undefined ? undefined : variantOf(report, name);
  const ok = variant ? variant.verdict !== 'rejected' : report.verdict.ok;
  const reasons = (variant ?? report.verdict).reasons.join('; ') || (ok ? 'everything was kept' : 'no reason is given');
  return { status: ok ? 'ok' : 'failed', said: variant ? `${variant.verdict}: ${reasons}` : reasons };
}

/** What is judged: each recommended variant with its target, or the one asked for. */
function findSubjects(report: Report, { variant: name, baseline }: GateOptions): Subject[] {
  if (name !== undefined) {
    const variant = variantOf(report, name);
    if (!variant) {
      const known = report.variants.map((one) => one.name);
      throw new UserError('variant.unknown', `the report has no variant "${name}"${nearest(name, known)}.`);
    }
    const own = report.recommendations.find((one) => one.variant === name)?.provider;
    const provider = own ?? measuredProviders(report)[0];
    return [{ variant, targets: [], provider, before: baseline && variantOf(baseline, name) }];
  }
  return report.recommendations.flatMap(({ target, provider, variant: chosen }) => {
    const variant = variantOf(report, chosen);
    const shipped = baseline?.recommendations.find((one) => one.target === target)?.variant;
    const before = baseline && shipped !== undefined ? variantOf(baseline, shipped) : undefined;
    return variant ? [{ variant, targets: [target], provider, before }] : [];
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

/**
 * A baseline must be about the same model: figures of another one say nothing.
 * @param source how the message names the baseline, a path usually
 * @throws UserError baseline.model, with the difference
 */
export function checkBaseline(report: Report, baseline: Report, source: string): void {
  const [here, there] = [report.input, baseline.input];
  const hashes = (input: Report['input']): string[] => [
    input.sha256,
    ...(input.externalData ?? []).map(({ sha256 }) => sha256),
  ];
  if (hashes(here).join() === hashes(there).join()) return;
  const told = (input: Report['input']): string =>
    `"${input.path}" of ${input.bytes} bytes, SHA-256 ${hashes(input)
      .map((hash) => `${hash.slice(0, 12)}…`)
      .join(' and ')}`;
  throw new UserError(
    'baseline.model',
    `the baseline ${source} is about another model: ${told(there)}; the report is about ${told(here)}. If the model was meant to change, store the new report with --update-baseline.`,
  );
}
