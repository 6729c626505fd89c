import type { Fidelity, Report, VariantResult } from '../../../src/report/report.ts';
import { formatFigure, formatPart, none, sqnrWords } from '../../../src/report/words.ts';
import { type Html, html } from '../escape.ts';
import { type Section, scroll, variantName } from '../parts.ts';

/** Here the bar is full: 16-bit audio has about as much. */
const fullDb = 96;

export function fidelity(report: Report): Section | undefined {
  const compared = report.variants.flatMap((variant) =>
    variant.fidelity ? [{ variant, fidelity: variant.fidelity }] : [],
  );
  if (compared.length === 0) return undefined;
  const rows = compared.map((one) => row(one.variant, one.fidelity));
  return {
    id: 'fidelity',
    title: 'Fidelity',
    lede: 'How closely the outputs follow those of base on the same inputs. SQNR compares signal with error: 6 dB more is half the error.',
    body: scroll(
      'Fidelity',
      html`<table><thead><tr><th scope="col">Variant</th><th scope="col">SQNR</th><th scope="col" class="num">Cosine</th><th scope="col" class="num">Largest error</th><th scope="col" class="num">Same top class</th><th scope="col" class="num">Samples</th></tr></thead><tbody>${rows}</tbody></table>`,
    ),
  };
}

function row(variant: VariantResult, { sqnrDb, cosine, maxAbs, agreement, samples }: Fidelity): Html {
  const share = sqnrDb === null ? 1 : Math.min(1, Math.max(0, sqnrDb / fullDb));
  const words = sqnrWords({ sqnrDb });
  return html`<tr><th scope="row">${variantName(variant.name)}</th><td class="meter"><span>${words}</span><svg width="100%" height="6" aria-hidden="true"><rect class="track" width="100%" height="6" rx="3"/><rect class="fill" width="${(100 * share).toFixed(1)}%" height="6" rx="3"/></svg></td><td class="num">${cosineText(cosine)}</td><td class="num">${maxAbs >= Number.MAX_VALUE ? 'infinite' : formatFigure(maxAbs)}</td><td class="num">${agreement === null ? none : formatPart(agreement)}</td><td class="num">${samples.toLocaleString('en-US')}</td></tr>`;
}

/** Enough digits to tell it from 1. */
function cosineText(cosine: number): string {
  if (cosine === 1) return '1';
  if (1 - cosine < 1e-9) return '> 0.999999999';
  const digits = Math.max(4, Math.ceil(-Math.log10(1 - cosine)) + 1);
  return cosine.toFixed(digits);
}
