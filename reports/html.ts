import type { Reporter } from '../src/report/reporter.ts';
import { renderPage } from './html/page.ts';

export const html: Reporter = {
  id: 'html',
  summary: 'one self-contained page for people',
  render: renderPage,
};
