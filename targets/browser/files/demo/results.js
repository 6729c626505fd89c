import { h, time } from './dom.js';

const shown = 5;

function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

function bars(answer) {
  const [best] = answer;
  const items = answer.slice(0, shown).map(({ label, score }, rank) => {
    const fill = h('span', { className: 'fill' });
    fill.style.width = percent(score).replace(' ', '');
    return h('li', { className: rank === 0 ? 'top' : '' }, fill, h('span', {}, label), h('span', { className: 'number' }, percent(score)));
  });
  const headline = h('p', { className: best.label.length > 12 ? 'headline long' : 'headline' }, best.label);
  headline.append(h('small', { className: 'number' }, percent(best.score)));
  return [headline, h('ol', { className: 'bars' }, ...items)];
}

function listing(outputs) {
  return Object.entries(outputs)
    .map(([name, { data, dims, type }]) => {
      const values = Array.from(data.slice(0, 24), (value) => (typeof value === 'number' ? Number(value.toPrecision(5)) : value));
      const more = data.length > 24 ? `, … ${data.length - 24} more` : '';
      return `${name}: ${type} [${dims.join(', ')}]\n${values.join(', ')}${more}`;
    })
    .join('\n\n');
}

/** Puts the answer into `place`: classes with labels as bars, everything else as numbers. */
export function showOutputs(place, { answer, outputs, ms }) {
  const timing = h('p', { className: 'timing muted number' }, `Answered in ${time(ms)}`);
  const raw = h('pre', {}, listing(outputs));
  const open = place.querySelector('details')?.open ?? false;
  if (answer) {
    const details = h('details', { open }, h('summary', {}, 'All outputs'), raw);
    place.replaceChildren(...bars(answer), timing, details);
  } else place.replaceChildren(raw, timing);
}

export function showError(place, error) {
  const text = h('p', { className: 'error' }, error.message);
  text.setAttribute('role', 'alert');
  place.replaceChildren(text);
}
