import type { Report } from './report.ts';

/** A format of the report: a pure function of it; the same report gives the same bytes. */
export interface Reporter {
  readonly id: 'html' | 'md' | 'json' | 'junit' | 'github' | 'sarif';
  readonly summary: string;
  render(report: Report): string;
}
