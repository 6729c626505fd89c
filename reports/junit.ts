import type { Reporter } from '../src/report/reporter.ts';
import { junitXml } from './gate/junit.ts';
import { findingsOf } from './gate/of-report.ts';

export const junit: Reporter = {
  id: 'junit',
  summary: 'JUnit XML: verdict, accuracy and rejected variants as test cases',
  render: (report) => junitXml(findingsOf(report)),
};
