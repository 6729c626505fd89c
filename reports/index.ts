import type { Reporter } from '../src/report/reporter.ts';
import { github } from './github.ts';
import { html } from './html.ts';
import { json } from './json.ts';
import { junit } from './junit.ts';
import { markdown } from './markdown.ts';
import { sarif } from './sarif.ts';

/** Every format of the report; a test holds this equal to the folder. */
export const reports: readonly Reporter[] = [html, markdown, json, junit, github, sarif];
