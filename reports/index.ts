import type { Reporter } from '../src/report/reporter.ts';
import { html } from './html.ts';
import { json } from './json.ts';
import { markdown } from './markdown.ts';

/** Every format of the report; a test holds this equal to the folder. */
export const reports: readonly Reporter[] = [html, markdown, json];
