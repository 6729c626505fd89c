import type { ReportDiff, VariantDiff } from '../../src/report/diff/diff.ts';
import { callWords, diffSentences } from '../../src/report/diff/words.ts';
import { sentence } from '../../src/report/words.ts';
import { shorten } from '../html/budget.ts';
import { renderDocument } from '../html/document.ts';
import { type Html, html } from '../html/escape.ts';
import { facts, plural, type Section, scroll, variantName } from '../html/parts.ts';
import { verdictWords } from './markdown.ts';

const variantsShown = 200;

/** The same page as the report, of two runs. */
export function diffHtml(diff: ReportDiff, version: string): string {
  const [first = 'Nothing to compare.', ...rest] = diffSentences(diff);
  const sections: Section[] = [
    {
      id: 'variants',
      title: 'Variants',
      lede: 'Better and worse are told apart by the interval of the difference; within noise is what two runs of the same file vary by.',
      body: html`${diff.variants.slice(0, variantsShown).map(variantCard)}${diff.variants.length > variantsShown && html`<p class="rest">and ${plural(diff.variants.length - variantsShown, 'more variant')}</p>`}`,
    },
    {
      id: 'runs',
      title: 'The two runs',
      lede:
        diff.differences.length === 0
          ? 'Same model, same machine, same data, same versions.'
          : 'What differs besides the results.',
      body: html`${diff.differences.length > 0 && html`<ul class="why-list">${diff.differences.map((one) => html`<li>${sentence(shorten(one, 600))}</li>`)}</ul>`}${facts(
        [
          ['Before', runWords(diff.before)],
          ['After', runWords(diff.after)],
        ],
      )}`,
    },
  ];
  const hero = html`<section class="hero" aria-labelledby="verdict"><p class="eyebrow">two runs</p>
<h1 id="verdict"><span class="line"><strong><bdi>${shorten(first, 400)}</bdi></strong></span></h1>
${rest.map((one) => html`<p class="judged">${shorten(one, 800)}</p>`)}${
  diff.differences.length > 0 &&
  html`<div class="notice" role="note"><b>The runs differ</b><ul>${diff.differences.map((one) => html`<li>${sentence(shorten(one, 600))}</li>`)}</ul></div>`
}</section>`;
  return renderDocument({
    title: 'two runs · mlpack report',
    description: first,
    day: diff.after.createdAt,
    version,
    hero,
    sections,
    foot: ['mlpack report diff'],
  });
}

const runWords = ({ command, createdAt, machine, tool, ort }: ReportDiff['before']): Html =>
  html`<code>${shorten(command, 400)}</code><br><span class="soft">${createdAt}, machine <code>${machine}</code>, mlpack ${tool}, ONNX Runtime ${ort}</span>`;

function variantCard(variant: VariantDiff): Html {
  const { name, rows } = variant;
  if (variant.note !== '')
    return html`<article class="recipe"><h3>${variantName(name)}</h3><p class="soft">${sentence(shorten(variant.note, 300))}</p></article>`;
  const body = rows.map(
    (row) =>
      html`<tr><th scope="row">${row.measure}</th><td class="num">${row.before}</td><td class="num"><b>${row.after}</b></td><td><span class="call call-${row.call}">${callWords[row.call]}</span></td><td>${row.change}</td></tr>`,
  );
  return html`<article class="recipe"><h3>${variantName(name)} <span class="soft">${verdictWords(variant)}</span></h3>${scroll(
    `Figures of ${shorten(name, 60)}`,
    html`<table><thead><tr><th scope="col">Figure</th><th scope="col" class="num">Before</th><th scope="col" class="num">After</th><th scope="col">Verdict</th><th scope="col">Change</th></tr></thead><tbody>${body}</tbody></table>`,
  )}</article>`;
}
