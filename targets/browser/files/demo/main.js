/** The demo page: loads the model, offers an input that fits it, and shows what it answers. */
import { goldenFeeds, readManifest } from '../golden.js';
import { load } from '../mlpack-model/index.js';
import { h, size } from './dom.js';
import { genericInput } from './generic.js';
import { imageInput } from './image.js';
import { showError, showOutputs } from './results.js';

const $ = (id) => document.getElementById(id);

function showProgress({ phase, loaded, total }) {
  const bar = $('progress');
  if (phase === 'model') {
    bar.max = total;
    bar.value = loaded;
    $('status').textContent = `Loading the model: ${size(loaded)} of ${size(total)}`;
  } else {
    bar.removeAttribute('value');
    $('status').textContent = `Starting the runtime (${size(total)})…`;
  }
}

function showFacts(model, demo, files) {
  const where =
    model.provider === 'webgpu'
      ? `WebGPU on ${model.adapter}`
      : `WebAssembly, ${model.threads === 1 ? 'one thread' : `${model.threads} threads`}`;
  const facts = [
    ['Runs on', where],
    ['Model', `${model.name}, variant ${model.variant}, ${size(files.reduce((sum, { bytes }) => sum + bytes, 0))}`],
  ];
  if (demo.license) facts.push(['Licence', demo.license]);
  for (const reason of model.reasons) facts.push(['Passed over', reason]);
  $('facts').replaceChildren(...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
  $('footer').hidden = false;
}

/** Runs the newest input only: while one inference is under way, later inputs replace each other. */
function latestOnly(model, demo) {
  let waiting;
  let running = false;
  const loop = async () => {
    running = true;
    while (waiting) {
      const feeds = waiting;
      waiting = undefined;
      try {
        const started = performance.now();
        const outputs = await model.run(feeds);
        showOutputs($('output'), model, demo, outputs, performance.now() - started);
      } catch (error) {
        showError($('output'), error);
      }
    }
    running = false;
  };
  return (feeds) => {
    waiting = feeds;
    if (!running) void loop();
  };
}

/** Recorded inputs, to try the model with; a page without them works too. */
async function readExamples() {
  try {
    const manifest = await readManifest();
    return await Promise.all(manifest.golden.slice(0, 5).map(goldenFeeds));
  } catch (error) {
    console.warn('no recorded inputs:', error);
    return [];
  }
}

async function start() {
  const demo = await (await fetch(new URL('demo.json', import.meta.url), { cache: 'no-cache' })).json();
  document.title = `${demo.name}: model demo`;
  $('title').textContent = demo.name;
  const provider = new URLSearchParams(location.search).get('provider') ?? 'auto';
  const [model, examples] = await Promise.all([load({ provider, onProgress: showProgress }), readExamples()]);
  const run = latestOnly(model, demo);
  const view = demo.image ? imageInput(demo.image, examples, run) : genericInput(model, examples, run);
  $('input-title').textContent = view.title;
  $('input').replaceChildren(view.element);
  $('output').replaceChildren(h('p', { className: 'muted' }, view.invitation));
  $('extras').replaceChildren(...view.extras);
  $('extras').hidden = view.extras.length === 0;
  $('loading').hidden = true;
  $('panels').hidden = false;
  view.begin();
  showFacts(model, demo, demo.files);
}

start().catch((error) => {
  $('progress').hidden = true;
  $('status').className = 'error';
  $('status').textContent = error.message;
});
