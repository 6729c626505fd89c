/** The same file elsewhere: whether it gives the same outputs, and which nodes really ran there. */
import type { Placement, RuntimeAgreement } from '../../../src/report/evidence.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import { formatFigure, formatPart, none, sentence, sqnrWords } from '../../../src/report/words.ts';
import { type Budget, shorten } from '../budget.ts';
import { type Html, html } from '../escape.ts';
import { counted, plural, type Section, scroll, variantName } from '../parts.ts';
import { reasonList } from '../reasons.ts';

export function runtimes(report: Report, budget: Budget): Section | undefined {
  const told = report.variants.filter(
    ({ runtimes: own = {}, placement = {}, failures = {} }) =>
      Object.keys(own).length + Object.keys(placement).length + Object.keys(failures).length > 0,
  );
  if (told.length === 0) return undefined;
  const rows = told.flatMap((variant) => rowsOf(report, variant));
  return {
    id: 'runtimes',
    title: 'Other runtimes',
    lede: 'The same file on other providers: its outputs against those on the CPU, and where its nodes really ran.',
    body: html`${scroll(
      'Agreement across runtimes',
      html`<table><thead><tr><th scope="col">Variant</th><th scope="col">Provider</th><th scope="col" class="num">Same top class</th><th scope="col" class="num">SQNR</th><th scope="col" class="num">Largest difference</th><th scope="col">Nodes</th></tr></thead><tbody>${rows.slice(0, 200)}</tbody></table>`,
    )}${fallbacks(told, budget)}`,
  };
}

function rowsOf(report: Report, variant: VariantResult): Html[] {
  const { runtimes: own = {}, placement = {}, failures = {} } = variant;
  const providers = [...new Set([...Object.keys(own), ...Object.keys(placement), ...Object.keys(failures)])];
  return providers.map((provider) => {
    const failure = failures[provider];
    const agreement = own[provider];
    const software = agreement?.software ?? report.providers?.[provider]?.software;
    const adapter = agreement?.adapter ?? report.providers?.[provider]?.adapter;
    const where = html`<td>${provider}${(adapter !== undefined || software === true) && html`<br><small class="soft">${shorten(adapter ?? '', 60)}${software === true && ' (software: outputs count, times do not)'}</small>`}</td>`;
    const head = html`<th scope="row">${variantName(variant.name)}</th>${where}`;
    if (failure !== undefined)
      return html`<tr class="k-rejected">${head}<td colspan="4" class="failure">${sentence(shorten(failure, 300))}</td></tr>`;
    return html`<tr>${head}${figures(agreement)}<td>${nodes(placement[provider])}</td></tr>`;
  });
}

function figures(agreement: RuntimeAgreement | undefined): Html {
  if (!agreement) return html`<td class="num">${none}</td><td class="num">${none}</td><td class="num">${none}</td>`;
  const { agreement: share, sqnrDb, maxAbs, maxSteps, samples } = agreement;
  const steps =
    maxSteps === undefined
      ? false
      : html` <small class="soft">${formatFigure(maxSteps)} ${maxSteps === 1 ? 'step' : 'steps'}</small>`;
  return html`<td class="num">${share === null ? none : formatPart(share)} <small class="soft">of ${samples}</small></td><td class="num">${sqnrWords({ sqnrDb })}</td><td class="num">${maxAbs >= Number.MAX_VALUE ? 'infinite' : formatFigure(maxAbs)}${steps}</td>`;
}

const nodes = (placement: Placement | undefined): Html | string => (placement ? counted(placement.nodes, 6) : none);

function fallbacks(told: readonly VariantResult[], budget: Budget): (Html | false)[] {
  return told.flatMap((variant) =>
    Object.entries(variant.placement ?? {}).map(([provider, placement]) => {
      const reasons = placement.fallbacks.map(({ node, op, provider: ran }) => ({
        node,
        label: op,
        why: `runs on ${ran}, though ${provider} was asked for`,
      }));
      return (
        reasons.length > 0 &&
        html`<details class="skipped"><summary>${variantName(variant.name)} on ${provider}: ${plural(reasons.length, 'node')} ran elsewhere</summary>${reasonList(reasons, budget)}</details>`
      );
    }),
  );
}
