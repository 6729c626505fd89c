import type { Report } from '../../src/report/report.ts';
import { headlineSentence, headlines } from '../../src/report/words.ts';
import { createBudget, shorten } from './budget.ts';
import { renderDocument } from './document.ts';
import { audit } from './sections/audit.ts';
import { bundles } from './sections/bundles.ts';
import { classes } from './sections/classes.ts';
import { dataAndLimits, machine, model, reproduce } from './sections/facts.ts';
import { fidelity } from './sections/fidelity.ts';
import { glance } from './sections/glance.ts';
import { hero } from './sections/hero.ts';
import { layers } from './sections/layers.ts';
import { memory } from './sections/memory.ts';
import { runtimes } from './sections/runtimes.ts';
import { steps } from './sections/steps.ts';
import { timing } from './sections/timing.ts';
import { variants } from './sections/variants.ts';

/** Bytes that each long part may take, so that none starves another; together they keep the page well below 2 MB. */
const bytes = { audit: 180_000, steps: 380_000, evidence: 240_000 } as const;

/** One file that needs nothing else: no network, no fonts, opens from disk. */
export function renderPage(report: Report): string {
  const evidence = createBudget(bytes.evidence);
  const sections = [
    glance(report),
    variants(report),
    bundles(report),
    timing(report),
    memory(report),
    classes(report, evidence),
    fidelity(report),
    layers(report, evidence),
    runtimes(report, evidence),
    audit(report, createBudget(bytes.audit)),
    steps(report, createBudget(bytes.steps)),
    dataAndLimits(report),
    model(report),
    machine(report),
    reproduce(report),
  ].filter((section) => section !== undefined);
  const name = shorten(report.input.path, 80);
  return renderDocument({
    title: `${name} · mlpack report`,
    description: headlines(report).map(headlineSentence).join(' '),
    day: report.createdAt,
    version: report.tool.version,
    hero: hero(report),
    sections,
    foot: [report.schema, report.createdAt, 'All figures, and every reason, are in report.json.'],
  });
}
