import type { Report } from '../../../src/report/report.ts';
import { formatSize, sentence } from '../../../src/report/words.ts';
import { shellWord } from '../../../src/shell-word.ts';
import { shorten } from '../budget.ts';
import { html } from '../escape.ts';
import { code, command, plural, type Section, variantName } from '../parts.ts';

export function bundles(report: Report): Section | undefined {
  if (report.bundles.length === 0) return undefined;
  const cards = report.bundles.map((bundle) => {
    const because = report.recommendations.find(
      (one) => one.target === bundle.target && one.variant === bundle.variant,
    )?.because;
    return html`<article class="card"><h3>${bundle.target}</h3><p>${variantName(bundle.variant)} · ${formatSize(bundle.bytes)} in ${plural(bundle.files, 'file')} · ${code(bundle.dir)}</p>${
      because && html`<p class="soft">${because.map((reason) => `${sentence(shorten(reason, 300))} `)}</p>`
    }${command(`mlpack check ${shellWord(bundle.dir)}`)}</article>`;
  });
  return {
    id: 'bundles',
    title: 'Bundles',
    lede: 'Ready to deploy. The command verifies the hashes, starts the bundle the documented way and replays recorded inputs.',
    body: html`<div class="cards">${cards}</div>`,
  };
}
