import type { Reporter } from '../src/report/reporter.ts';
import { githubAnnotations } from './gate/github.ts';
import { findingsOf } from './gate/of-report.ts';

export const github: Reporter = {
  id: 'github',
  summary: 'workflow commands: an annotation for what did not pass',
  render: (report) => githubAnnotations(findingsOf(report)),
};
