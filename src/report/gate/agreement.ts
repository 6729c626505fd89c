/** Rules about outputs: against base on the CPU, and of the same file on two providers. */
import { sqnrWords } from '../words.ts';
import { formatWhole, type Judgement, percent, type Subject, undecided } from './finding.ts';
import type { AgreementRule } from './rules.ts';

interface Compared {
  readonly agreement: number | null;
  readonly sqnrDb: number | null;
  readonly samples: number;
}

/** @param provider undefined: with base, on the CPU; else the same file there and on the CPU */
export function judgeAgreement(rule: AgreementRule, subject: Subject, provider: string | undefined): Judgement {
  if (provider === undefined) {
    const { fidelity } = subject.variant;
    if (!fidelity) return undecided('its outputs were not compared with those of base');
    return judge(rule, fidelity, 'base');
  }
  const found = subject.variant.runtimes?.[provider];
  if (found) return judge(rule, found, `its own outputs on the CPU, on ${provider},`);
  const failure = subject.variant.failures?.[provider];
  if (failure !== undefined) return { status: 'failed', said: failure };
  const known = Object.keys(subject.variant.runtimes ?? {}).join(', ');
  return undecided(
    `its outputs on ${provider} were not compared with those on the CPU${known && ` (compared: ${known})`}; optimize with --provider ${provider}`,
  );
}

function judge({ min, minSqnrDb }: AgreementRule, { agreement, sqnrDb, samples }: Compared, name: string): Judgement {
  const on = `${formatWhole(samples)} ${samples === 1 ? 'sample' : 'samples'}`;
  const db = sqnrDb ?? Number.POSITIVE_INFINITY;
  const words = sqnrDb === null ? 'outputs are identical' : `outputs follow at ${sqnrWords({ sqnrDb })}`;
  if (min !== undefined && agreement === null && minSqnrDb === undefined)
    return undecided(
      `agreement with ${name} was not measured: its outputs hold no scores of classes; ask for minSqnrDb instead (${words})`,
    );
  const parts: string[] = [];
  let ok = true;
  if (min !== undefined && agreement !== null) {
    ok = agreement >= min - 1e-12;
    const shown = agreement === 1 ? 'all' : percent(agreement);
    parts.push(
      `the same class as ${name} ${shown === 'all' ? 'on all' : `on ${shown} of`} ${on}, where at least ${percent(min)} is asked`,
    );
  }
  if (minSqnrDb !== undefined) {
    ok = ok && db >= minSqnrDb - 1e-9;
    parts.push(`${words} against ${name} on ${on}, where at least ${minSqnrDb} dB is asked`);
  }
  const value = min !== undefined && agreement !== null ? agreement : sqnrDb;
  const limit = min !== undefined && agreement !== null ? min : minSqnrDb;
  return {
    status: ok ? 'ok' : 'failed',
    said: parts.join('; '),
    ...(value !== null && { value }),
    ...(limit !== undefined && { limit }),
  };
}
