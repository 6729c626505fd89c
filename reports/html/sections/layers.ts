/** Layer by layer: which of them bear quantization, and how far those of each variant are from base. */
import type { LayerError, Sensitivity } from '../../../src/report/evidence.ts';
import type { Report, VariantResult } from '../../../src/report/report.ts';
import { formatFigure, formatSize, sentence, sqnrWords } from '../../../src/report/words.ts';
import { type Budget, shorten } from '../budget.ts';
import { layerStrip } from '../charts/strip.ts';
import { type Html, html } from '../escape.ts';
import { badge, chip, code, nameLength, plural, type Section, variantName } from '../parts.ts';

const layersOpen = 8;
const layersShown = 120;

export function layers(report: Report, budget: Budget): Section | undefined {
  const schemes = report.sensitivity ?? [];
  const compared = report.variants.filter(({ layers: own }) => own !== undefined && own.length > 0);
  if (schemes.length === 0 && compared.length === 0) return undefined;
  return {
    id: 'layers',
    title: 'Layers',
    lede: 'Which layers suffer when they alone are changed, and how far the layers of each variant are from those of base on the same inputs.',
    body: html`<div class="charts">${schemes.slice(0, 12).map((scheme) => sensitivityFigure(scheme, budget))}${compared.slice(0, 40).map((variant) => errorFigure(variant, budget))}</div>`,
  };
}

function sensitivityFigure(
  { scheme, measure, samples, layers: all, unmeasured = [] }: Sensitivity,
  budget: Budget,
): Html {
  const sorted = [...all].sort((a, b) => (b.loss ?? Number.POSITIVE_INFINITY) - (a.loss ?? Number.POSITIVE_INFINITY));
  const most = Math.max(Number.MIN_VALUE, ...all.map(({ loss }) => loss ?? 0));
  const item = ({ node, op, loss, bytes, kept }: (typeof sorted)[number]): Html | false =>
    budget.fits(shorten(node, nameLength) + shorten(kept ?? '', 240), 520) &&
    html`<li class="${kept === undefined ? 'k-accepted' : 'k-recommended'}"><span class="bar-name whole">${code(node)}</span><span class="soft">${shorten(op, 40)}</span><span class="bar-value"><b>${loss === null ? 'no number' : formatFigure(loss)}</b> ${bytes !== undefined && formatSize(bytes)}</span><svg class="bar" width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" rx="3"/><rect class="fill" width="${(100 * Math.min(1, Math.max(0, (loss ?? most) / most))).toFixed(1)}%" height="8" rx="3"/></svg>${kept !== undefined && html`<p class="bar-why">${chip('kept in higher precision')} ${sentence(shorten(kept, 240))}</p>`}</li>`;
  return html`<figure><figcaption>Sensitivity, ${scheme} <span class="soft">${measure}, ${plural(samples, 'sample')}</span></figcaption>${folded(`Layers by sensitivity to ${scheme}`, sorted.map(item), all.length)}${leftOut(unmeasured)}</figure>`;
}

/** How many were left out for each reason. */
function leftOut(unmeasured: NonNullable<Sensitivity['unmeasured']>): Html | false {
  const reasons = new Map<string, number>();
  for (const { why } of unmeasured) reasons.set(why, (reasons.get(why) ?? 0) + 1);
  return (
    reasons.size > 0 &&
    html`${[...reasons].slice(0, 5).map(([why, count]) => html`<p class="rest">${plural(count, 'layer')} not measured: ${shorten(why, 240)}.</p>`)}`
  );
}

function errorFigure(variant: VariantResult, budget: Budget): Html {
  const all = variant.layers ?? [];
  const sorted = [...all].sort(
    (a, b) => (a.sqnrDb ?? Number.POSITIVE_INFINITY) - (b.sqnrDb ?? Number.POSITIVE_INFINITY),
  );
  const item = ({ node, op, sqnrDb, maxAbs }: LayerError): Html | false =>
    budget.fits(shorten(node, nameLength), 260) &&
    html`<li><span class="bar-name whole">${code(node)}</span><span class="soft">${shorten(op, 40)}</span><span class="bar-value"><b>${sqnrWords({ sqnrDb })}</b>${maxAbs !== undefined && maxAbs > 0 && maxAbs < Number.MAX_VALUE && ` off by up to ${formatFigure(maxAbs)}`}</span></li>`;
  return html`<figure class="k-accepted"><figcaption>Error of ${variantName(variant.name)} ${badge(variant)}</figcaption>${layerStrip(all)}<p class="figure-note">Layers in the order of the graph; the lower, the further from base.</p>${folded('Layers by error, the worst first', sorted.map(item), all.length)}</figure>`;
}

function folded(label: string, items: readonly (Html | false)[], total: number): Html {
  const shown = items.filter((one) => one !== false).slice(0, layersShown);
  const rest = shown.slice(layersOpen);
  const left = total - shown.length;
  return html`<ul class="bars" role="list" aria-label="${label}">${shown.slice(0, layersOpen)}</ul>${
    rest.length > 0 &&
    html`<details class="more"><summary>${rest.length} more</summary><ul class="bars" role="list" aria-label="${label}, continued">${rest}</ul></details>`
  }${left > 0 && html`<p class="rest">${plural(left, 'more layer')} in <code>report.json</code>.</p>`}`;
}
