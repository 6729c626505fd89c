import { bug } from '../src/errors.ts';
import type { Reporter } from '../src/report/reporter.ts';
import { reportShape } from '../src/report/shape.ts';
import { firstProblem } from '../src/report/validate.ts';

/**
 * The Report as its schema describes it, indented, with a final line feed. Numbers that are not finite become null.
 * @throws BugError when the result breaks the schema
 */
export const json: Reporter = {
  id: 'json',
  summary: 'the report itself, as reports/report.schema.json describes it',
  render(report) {
    const text = JSON.stringify(report, printable, 2);
    const problem = firstProblem(reportShape.json, JSON.parse(text));
    if (problem) bug(`the report breaks its own schema: ${problem.path} ${problem.message}`);
    return `${text}\n`;
  },
};

/** Options of passes may hold 64-bit integers, for which JSON has no word. */
function printable(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}
