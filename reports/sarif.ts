import type { Reporter } from '../src/report/reporter.ts';
import { findingsOf } from './gate/of-report.ts';
import { gateSarif } from './gate/sarif.ts';

export const sarif: Reporter = {
  id: 'sarif',
  summary: 'SARIF 2.1.0 for code scanning',
  render: (report) => gateSarif(findingsOf(report), report.tool.version),
};
