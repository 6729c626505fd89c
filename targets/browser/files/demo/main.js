/** The demo page: loads the model, offers an input that fits it, and shows what it answers. */
import { goldenFeeds, readManifest } from '../golden.js';
import { answerOf } from '../mlpack-model/answer.js';
import { load } from '../mlpack-model/index.js';
import { install, keep } from '../mlpack-model/offline.js';
import { h, size, time } from './dom.js';
import { genericInput } from './generic.js';
import { showError, showOutputs } from './results.js';

const $ = (id) => document.getElementById(id);

/** Inputs by what the model takes; their code is loaded when it is needed. */
const views = {
  image: async (...all) => (await import('./image.js')).imageInput(...all),
  text: async (...all) => (await import('./text.js')).textInput(...all),
  audio: async (...all) => (await import('./audio.js')).audioInput(...all),
};

function showProgress({ phase, loaded, total }) {
  const bar = $('progress');
  if (phase === 'download') {
    bar.max = total;
    bar.value = loaded;
    $('status').textContent = `Loading the model and its runtime: ${size(loaded)} of ${size(total)}`;
  } else {
    bar.removeAttribute('value');
    $('status').textContent = 'Starting…';
  }
}

const recent = [];

/** The strip under the title: what runs where, and how fast. */
function showStrip(model) {
  const where =
    model.provider === 'webgpu'
      ? `WebGPU on ${model.adapter}`
      : `WebAssembly, ${model.threads === 1 ? 'one thread' : `${model.threads} threads`}`;
  const parts = [`variant ${model.variant}, ${size(model.bytes)}`, where];
  if (recent.length > 0) {
    const sorted = [...recent].sort((a, b) => a - b);
    parts.push(`${time(sorted[sorted.length >> 1])}${recent.length > 2 ? ` (median of ${recent.length})` : ''}`);
  }
  $('strip').replaceChildren(...parts.map((part) => h('li', {}, part)));
  $('strip').hidden = false;
}

function showFacts(model, started) {
  const measured = model.latency.map(({ provider, p50Ms, ratioToBase }) => [
    `Measured on ${provider}`,
    `${time(p50Ms)}, ×${ratioToBase.toFixed(2)} of the original`,
  ]);
  const { accuracy } = model;
  if (accuracy?.value != null) measured.push(['Accuracy', `${accuracy.metric} ${accuracy.value.toFixed(3)} (original ${accuracy.base?.toFixed(3) ?? 'unknown'})`]);
  const facts = [
    ['Ready after', time(started)],
    ...(model.license ? [['Licence', model.license]] : []),
    ...measured,
    ...model.reasons.map((reason) => ['To know', reason]),
  ];
  $('facts').replaceChildren(...facts.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
  const query = new URLSearchParams(location.search);
  if (model.variants.length > 1) {
    const links = ['', ...model.variants].map((variant) => {
      const link = h('a', { href: variant === '' ? location.pathname : `?variant=${encodeURIComponent(variant)}` }, variant || 'automatic');
      if ((query.get('variant') ?? '') === variant) link.setAttribute('aria-current', 'page');
      return h('li', {}, link);
    });
    $('variants').replaceChildren(...links);
    $('variants').parentElement.hidden = false;
  }
  $('footer').hidden = false;
}

/** Runs the newest input only: while one inference is under way, later inputs replace each other. */
function latestOnly(model, onAnswer, onError) {
  let waiting;
  let running = false;
  const loop = async () => {
    running = true;
    while (waiting) {
      const { media, feeds, error } = waiting;
      waiting = undefined;
      try {
        if (error) throw error;
        if (feeds) {
          const outputs = await model.run(feeds);
          onAnswer({ outputs, answer: answerOf(model, outputs), ms: model.lastMs, feeds });
        } else onAnswer(await model.predict(media));
      } catch (failure) {
        onError(failure);
      }
    }
    running = false;
  };
  return (wanted) => {
    waiting = wanted;
    if (!running) void loop();
  };
}

/** Recorded inputs, to try the model with; a page without them works too. */
async function readExamples(model) {
  try {
    const manifest = await readManifest();
    const own = manifest.golden.filter(({ variant }) => variant === undefined || variant === model.variant);
    const feeds = await Promise.all(own.slice(0, 5).map(goldenFeeds));
    if (model.task?.kind !== 'text') return feeds;
    return await Promise.all(feeds.map(async (one) => ({ ...one, text: await model.textOf(one) })));
  } catch (error) {
    console.warn('no recorded inputs:', error);
    return [];
  }
}

async function start() {
  const began = performance.now();
  const query = new URLSearchParams(location.search);
  if ((await install()) === 'reloading') return;
  const model = await load({ provider: query.get('provider') ?? 'auto', variant: query.get('variant') ?? undefined, onProgress: showProgress });
  const ready = performance.now() - began;
  document.title = `${model.name}: model demo`;
  $('title').textContent = model.name;
  let view;
  const answered = (prediction) => {
    recent.push(prediction.ms);
    if (recent.length > 50) recent.shift();
    view.fed(prediction.feeds, prediction.tokens);
    showOutputs($('output'), prediction);
    showStrip(model);
  };
  const ask = latestOnly(model, answered, (error) => showError($('output'), error));
  const examples = await readExamples(model);
  view = await (views[model.task?.kind] ?? genericInput)(model, examples, ask);
  $('input-title').textContent = view.title;
  $('input').replaceChildren(view.element);
  $('output').replaceChildren(h('p', { className: 'muted' }, view.invitation));
  $('extras').replaceChildren(...view.extras);
  $('extras').hidden = view.extras.length === 0;
  $('loading').hidden = true;
  $('panels').hidden = false;
  showStrip(model);
  showFacts(model, ready);
  view.begin();
  await keep(model);
}

start().catch((error) => {
  $('progress').hidden = true;
  $('status').className = 'error';
  $('status').setAttribute('role', 'alert');
  $('status').textContent = error.message;
});
