import { createHash } from 'node:crypto';
import { formatMs } from '../../../src/messages.ts';
import type { Report, StepResult, VariantResult } from '../../../src/report/report.ts';
import { type Budget, shorten } from '../budget.ts';
import { type Html, html } from '../escape.ts';
import { badge, chips, counted, plural, type Section, variantName } from '../parts.ts';
import { reasonList } from '../reasons.ts';

export function steps(report: Report, budget: Budget): Section | undefined {
  const built = report.variants.filter((variant) => variant.steps.length > 0);
  if (built.length === 0) return undefined;
  const told = new Map<string, string>();
  const skipped = built.some((variant) => variant.steps.some((step) => step.skipped.length > 0));
  return {
    id: 'steps',
    title: 'What each pass did',
    lede: 'In order: how often rules fired, and why they left the rest alone.',
    body: html`${
      skipped &&
      html`<form class="search" role="search" hidden><label for="find">Search rules, nodes and reasons</label><input id="find" type="search" autocomplete="off" spellcheck="false"><label for="only">Variant</label><select id="only"><option value="">all</option>${built.map((variant, at) => html`<option value="${at}">${shorten(variant.name, 60)}</option>`)}</select><label class="check"><input id="changed" type="checkbox"> only passes that changed something</label><output for="find" aria-live="polite"></output></form>`
    }${built.map((variant, at) => recipe(variant, at, told, budget))}`,
  };
}

/** Steps that an earlier variant told in full are only named. */
function recipe(variant: VariantResult, at: number, told: Map<string, string>, budget: Budget): Html {
  const items = variant.steps.map((step) => {
    const key = digest(step);
    const first = told.get(key);
    if (first !== undefined)
      return html`<li class="step told"><h4><code>${step.pass}</code></h4><span class="soft">as in ${variantName(first)}</span></li>`;
    told.set(key, variant.name);
    return stepItem(step, budget);
  });
  return html`<article class="recipe" data-at="${at}"><h3>${variantName(variant.name)} ${badge(variant)}</h3><ol class="steps">${items}</ol></article>`;
}

/** The same for steps that did the same, whatever time they took. */
function digest({ skipped, ...step }: StepResult): string {
  const hash = createHash('sha256').update(JSON.stringify({ ...step, ms: 0 }));
  for (const { rule, node, why } of skipped) hash.update(`\0${rule}\0${node}\0${why}`);
  return hash.digest('hex');
}

function stepItem(step: StepResult, budget: Budget): Html {
  const { pass, changed, applied, skipped, notes = [], nodesBefore, nodesAfter, ms } = step;
  const nodes =
    nodesBefore === nodesAfter ? plural(nodesAfter, 'node') : `${nodesBefore} → ${plural(nodesAfter, 'node')}`;
  const options = Object.entries(step.options).map(
    ([name, value]) => html`<bdi>${name}</bdi> <b><bdi>${shorten(optionText(value), 60)}</bdi></b>`,
  );
  const reasons = skipped.map(({ rule, node, why, weightBytes }) => ({ label: rule, node, why, weightBytes }));
  return html`<li class="step${!changed && ' idle'}"><div class="step-head"><h4><code>${pass}</code></h4><span class="soft">${changed ? nodes : 'found nothing to change'} · ${formatMs(ms)}</span></div>${
    options.length > 0 && html`<p class="row"><span class="row-label">Options</span>${chips(options)}</p>`
  }${Object.keys(applied).length > 0 && html`<p class="row"><span class="row-label">Applied</span>${counted(applied)}</p>`}${
    notes.length > 0 &&
    html`<details class="more"><summary>Reasoning: ${plural(notes.length, 'step')}</summary><ol>${notes.map((note) => html`<li>${shorten(note, 300)}</li>`)}</ol></details>`
  }${
    skipped.length > 0 &&
    html`<details class="skipped"><summary>Left alone: ${plural(skipped.length, 'place')}, ${plural(new Set(skipped.map((one) => one.why)).size, 'reason')}</summary>${reasonList(reasons, budget)}</details>`
  }</li>`;
}

function optionText(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(String).join(', ');
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
