import { UserError } from '../../errors.ts';
import type { Report } from '../report.ts';

type Input = Report['input'];

const hashes = (input: Input): string[] => [input.sha256, ...(input.externalData ?? []).map(({ sha256 }) => sha256)];

/** True when both reports are about the same bytes, external data included. */
export const isSameModel = (a: Report, b: Report): boolean => hashes(a.input).join() === hashes(b.input).join();

/**
 * A baseline must be about the same model: figures of another one say nothing about what optimization did.
 * @param source how the message names the baseline, a path usually
 * @throws UserError baseline.model, with the difference
 */
export function checkBaseline(report: Report, baseline: Report, source: string): void {
  if (isSameModel(report, baseline)) return;
  throw new UserError(
    'baseline.model',
    `the baseline ${source} is about another model: ${told(baseline.input)}; the report is about ${told(report.input)}. ` +
      'If the model was meant to change, compare the two with --other-model, or store the new report with --update-baseline.',
  );
}

/** How the other model differs, for a sentence: file, bytes, hashes. */
const told = (input: Input): string =>
  `"${input.path}" of ${input.bytes} bytes, SHA-256 ${hashes(input)
    .map((hash) => `${hash.slice(0, 12)}…`)
    .join(' and ')}`;
