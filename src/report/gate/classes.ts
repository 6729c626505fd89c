/** The rule about classes: a mean that stays may hide one class that got worse. */
import type { ClassResult } from '../evidence.ts';
import { formatPart } from '../words.ts';
import { formatWhole, type Judgement, percent, type Subject, undecided, within } from './finding.ts';
import type { ClassRule } from './rules.ts';

/** Classes named in a sentence; the others are counted. */
const named = 3;
const significance = 0.05;

interface Worse {
  readonly one: ClassResult;
  readonly drop: number;
  /** One-sided, adjusted for the number of classes; 0 where the report has none, so that the figure decides. */
  readonly p: number;
}

/**
 * Broken by each class that lost more than allowed and, with `test`, more than chance would take. The report adjusts p for the number of
 * classes, so that a hundred of them are no more likely to alarm than one.
 */
export function judgeClasses(rule: ClassRule, { variant }: Subject): Judgement {
  const classes = variant.accuracy?.classes;
  if (!classes)
    return undecided('classes were not judged one by one; give `mlpack optimize` data with labels of classes');
  const looked = classes.filter(({ samples }) => samples >= (rule.minSamples ?? 1));
  if (looked.length === 0)
    return undecided(`no class has the ${formatWhole(rule.minSamples ?? 1)} samples that are asked for`);
  const all = looked.map(worse).sort((a, b) => b.drop - a.drop);
  const over = all.filter(({ drop }) => !within(drop, rule.maxDrop));
  const sure = rule.on === 'point' ? over : over.filter(({ p }) => p <= significance);
  const value = all[0]?.drop ?? 0;
  const allowed = `where a class may lose ${percent(rule.maxDrop)}`;
  const known = { value, limit: rule.maxDrop };
  if (sure.length > 0)
    return { status: 'failed', said: `${list(sure)} of ${looked.length} classes lost more, ${allowed}`, ...known };
  if (over.length > 0)
    return {
      status: 'undecided',
      said: `${list(over)} of ${looked.length} classes lost more, which may be chance on so few samples, ${allowed}; more samples a class would tell`,
      ...known,
    };
  return {
    status: 'ok',
    said: `of ${looked.length} classes the worst, ${told(all[0])}, keeps the limit, ${allowed}`,
    ...known,
  };
}

function worse(one: ClassResult): Worse {
  const { base, value } = one;
  const drop = base === null || value === null ? Number.POSITIVE_INFINITY : base - value;
  return { one, drop, p: one.p ?? 0 };
}

function list(classes: readonly Worse[]): string {
  const rest = classes.length - named;
  return `${classes.slice(0, named).map(told).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

function told(worst: Worse | undefined): string {
  if (!worst) return 'none';
  const { name, base, value, samples } = worst.one;
  return `"${name}" (${formatPart(base)} to ${formatPart(value)} on ${formatWhole(samples)} samples)`;
}
