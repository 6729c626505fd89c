import { h } from './dom.js';

const floats = ['float16', 'float32', 'float64'];

/** Small seeded generator (mulberry32): the same seed gives the same inputs. */
function generator(seed) {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Dimensions that the model leaves open, by name. */
function openDims(inputs) {
  const names = new Set();
  for (const { shape } of inputs) for (const dim of shape ?? []) if (typeof dim === 'string') names.add(dim);
  return [...names];
}

function randomFeeds(inputs, sizes, seed) {
  const random = generator(seed);
  const feeds = {};
  for (const { name, dtype, shape } of inputs) {
    const dims = (shape ?? [1]).map((dim) => (typeof dim === 'number' ? dim : (sizes[dim] ?? 1)));
    const count = dims.reduce((product, dim) => product * dim, 1);
    const next = floats.includes(dtype) ? () => random() * 2 - 1 : () => Math.floor(random() * 2);
    const data = Array.from({ length: count }, () => (dtype === 'string' ? '' : next()));
    feeds[name] = { data, dims };
  }
  return feeds;
}

function describe({ name, dtype, shape }) {
  return `${name}: ${dtype} [${(shape ?? ['any']).map((dim) => dim ?? '?').join(', ')}]`;
}

/** An input for any model: recorded inputs, seeded random numbers, or values as JSON. */
export function genericInput(model, examples, ask) {
  const run = (feeds) => ask({ feeds });
  const seed = h('input', { type: 'number', value: '1', step: '1' });
  const sizes = openDims(model.inputs).map((name) => ({ name, field: h('input', { type: 'number', value: '1', min: '1' }) }));
  const json = h('textarea', { placeholder: '{ "input": { "data": [0, 1], "dims": [1, 2] } }', spellcheck: false });
  const note = h('p', { className: 'error', hidden: true });
  const runRandom = () => {
    const chosen = Object.fromEntries(sizes.map(({ name, field }) => [name, Math.max(1, Number(field.value) || 1)]));
    run(randomFeeds(model.inputs, chosen, Number(seed.value) || 0));
  };
  const runJson = () => {
    note.hidden = true;
    try {
      run(JSON.parse(json.value));
    } catch (error) {
      note.hidden = false;
      note.textContent = `This is not JSON: ${error.message}`;
    }
  };
  const fields = [h('label', {}, 'Seed', seed), ...sizes.map(({ name, field }) => h('label', {}, `Size of "${name}"`, field))];
  const element = h(
    'div',
    { className: 'fields' },
    h('pre', { className: 'muted' }, model.inputs.map(describe).join('\n')),
    ...fields,
    h('button', { type: 'button', className: 'primary', onclick: runRandom }, 'Run with random numbers'),
  );
  if (examples.length > 0) {
    const buttons = examples.map((feeds, n) => h('button', { type: 'button', onclick: () => run(feeds) }, `Example ${n + 1}`));
    element.append(h('div', { className: 'row' }, ...buttons));
  }
  element.append(
    h('details', {}, h('summary', {}, 'Values of your own'), h('label', {}, 'Inputs as JSON', json), note, h('div', { className: 'row' },
      h('button', { type: 'button', onclick: runJson }, 'Run'))),
  );
  return {
    title: 'Input',
    invitation: 'Take an example or random numbers.',
    element,
    extras: [],
    fed: () => {},
    begin: () => examples.length > 0 && run(examples[0]),
  };
}
