import { h } from './dom.js';

const shown = 5;

/** One row of class scores as shares, or undefined when no output looks like classes. */
function classScores({ labels }, outputs) {
  if (!labels) return undefined;
  for (const { data, dims, type } of Object.values(outputs)) {
    if (!type.startsWith('float') || dims.at(-1) !== labels.length || data.length < labels.length) continue;
    return toShares(Array.from(data.slice(0, labels.length), Number));
  }
  return undefined;
}

/** Probabilities stay as they are; anything else is taken for logits. */
function toShares(values) {
  if (values.every((value) => value >= 0 && value <= 1)) return values;
  const max = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - max));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

function bars(labels, scores) {
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const best = order[0];
  const items = order.slice(0, shown).map((i, rank) => {
    const fill = h('span', { className: 'fill' });
    fill.style.width = percent(scores[i]).replace(' ', '');
    const label = h('span', {}, labels[i]);
    return h('li', { className: rank === 0 ? 'top' : '' }, fill, label, h('span', { className: 'number' }, percent(scores[i])));
  });
  const headline = h('p', { className: labels[best].length > 12 ? 'headline long' : 'headline' }, labels[best]);
  headline.append(h('small', { className: 'number' }, percent(scores[best])));
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
export function showOutputs(place, model, _demo, outputs, ms) {
  const scores = classScores(model, outputs);
  const timing = h('p', { className: 'timing muted number' }, `Answered in ${ms.toFixed(1)} ms`);
  const raw = h('pre', {}, listing(outputs));
  const open = place.querySelector('details')?.open ?? false;
  if (scores) {
    const details = h('details', { open }, h('summary', {}, 'All outputs'), raw);
    place.replaceChildren(...bars(model.labels, scores), timing, details);
  } else place.replaceChildren(raw, timing);
}

export function showError(place, error) {
  place.replaceChildren(h('p', { className: 'error' }, error.message));
}
