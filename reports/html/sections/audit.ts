import type { Audit, Report, VariantResult } from '../../../src/report/report.ts';
import type { Budget } from '../budget.ts';
import { stackedBar } from '../charts/bars.ts';
import { type Html, html } from '../escape.ts';
import { badge, counted, plural, type Section, variantName } from '../parts.ts';
import { reasonList } from '../reasons.ts';

export function audit(report: Report, budget: Budget): Section | undefined {
  const audited = report.variants.flatMap((variant) => (variant.audit ? [{ variant, audit: variant.audit }] : []));
  if (audited.length === 0) return undefined;
  return {
    id: 'audit',
    title: 'Fusion audit',
    lede: 'What ONNX Runtime made of each file after its own optimization: how much really runs on integers, and what stands in the way.',
    body: html`<div class="cards">${audited.map((one) => auditCard(one.variant, one.audit, budget))}</div>`,
  };
}

function auditCard(variant: VariantResult, result: Audit, budget: Budget): Html {
  const { quantizedNodes, floatNodes, leftoverQdq, insertedCasts, fusedOps, findings } = result;
  const figures = [
    { count: quantizedNodes, className: 'quantized', label: 'quantized' },
    { count: floatNodes, className: 'float', label: 'heavy nodes in float' },
    { count: leftoverQdq, className: 'leftover', label: 'leftover Q/DQ' },
    { count: insertedCasts, className: 'casts', label: insertedCasts === 1 ? 'inserted cast' : 'inserted casts' },
  ];
  const reasons = findings.map(({ node, op, why }) => ({ label: op, node, why }));
  return html`<article class="card"><h3>${variantName(variant.name)} ${badge(variant)}</h3>${stackedBar(figures)}
<ul class="stack-key">${figures.map(({ count, className, label }) => html`<li class="${className}${count === 0 && ' zero'}"><b>${count}</b> ${label}</li>`)}</ul>${
    Object.keys(fusedOps).length > 0 &&
    html`<p class="row"><span class="row-label">Fused</span>${counted(fusedOps)}</p>`
  }${
    findings.length > 0 &&
    html`<details class="skipped"${findings.length <= 4 && ' open'}><summary>${plural(findings.length, 'finding')}</summary>${reasonList(reasons, budget)}</details>`
  }</article>`;
}
