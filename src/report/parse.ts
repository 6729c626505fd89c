import { UserError } from '../errors.ts';
import { type Report, reportSchema } from './report.ts';
import { reportShape } from './shape.ts';
import { firstProblem } from './validate.ts';

/**
 * Reads report.json. Unknown keys are kept: they come from a later mlpack of the same schema version.
 * @param source how messages name the text, a path usually
 * @throws UserError report.json, report.schema, report.shape or report.reference
 */
export function parseReport(text: string, source = 'the report'): Report {
  const value = parseJson(text, source);
  checkVersion(value, source);
  const problem = firstProblem(reportShape.json, value);
  if (problem)
    throw new UserError('report.shape', `${source} is not a valid report: ${problem.path} ${problem.message}.`);
  const report: Report = value as NonNullable<typeof reportShape.is>;
  checkReferences(report, source);
  inheritNothing(value);
  return report;
}

/** Figures are looked up by names that stand in the file (`latency[provider]`): one called "constructor" must not find what all objects have. */
function inheritNothing(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) Object.setPrototypeOf(value, null);
  for (const item of Object.values(value)) inheritNothing(item);
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''));
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(
      'report.json',
      `${source} is not JSON (${detail}); give the report.json that \`mlpack optimize\` wrote.`,
      {
        cause,
      },
    );
  }
}

function checkVersion(value: unknown, source: string): void {
  const found: unknown = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined;
  if (found === reportSchema) return;
  const [family] = reportSchema.split('/');
  if (typeof found === 'string' && found.startsWith(`${family}/`)) {
    throw new UserError(
      'report.schema',
      `${source} has the schema "${found}", and this mlpack reads "${reportSchema}"; read it with the mlpack that wrote it, or optimize again.`,
    );
  }
  throw new UserError(
    'report.schema',
    `${source} is not a report of mlpack: its "schema" should be "${reportSchema}"; give the report.json that \`mlpack optimize\` wrote.`,
  );
}

/** Names point at variants that are there, and each variant has its own. */
function checkReferences(report: Report, source: string): void {
  const names = new Set<string>();
  for (const [index, { name }] of report.variants.entries()) {
    if (names.has(name)) {
      throw new UserError(
        'report.reference',
        `${source} has two variants "${name}": the second is variants[${index}].`,
      );
    }
    names.add(name);
  }
  for (const list of ['recommendations', 'bundles'] as const) {
    for (const [index, { variant }] of report[list].entries()) {
      if (names.has(variant)) continue;
      throw new UserError(
        'report.reference',
        `${source}: ${list}[${index}].variant is "${variant}", and there is no such variant.`,
      );
    }
  }
}
