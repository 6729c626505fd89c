import { h } from './dom.js';

/** Typing has paused for so long: the text is taken. */
const pauseMs = 250;

/** An input for texts; the answer follows what is typed. */
export function textInput(model, examples, ask) {
  const { pair } = model.task;
  const fields = (pair ? ['First text', 'Second text'] : ['Your text']).map((label) => {
    const field = h('textarea', { rows: pair ? 2 : 4, placeholder: pair ? '' : 'Type something…', autocapitalize: 'sentences' });
    return { field, label: h('label', {}, label, field) };
  });
  const count = h('p', { className: 'muted small number', ariaLive: 'off' });
  const take = () => {
    const texts = fields.map(({ field }) => field.value);
    if (texts.every((text) => text.trim() !== '')) ask({ media: pair ? texts : texts[0] });
  };
  let timer;
  for (const { field } of fields) {
    field.addEventListener('input', () => {
      clearTimeout(timer);
      timer = setTimeout(take, pauseMs);
    });
  }
  const form = h('form', { className: 'fields' }, ...fields.map(({ label }) => label), count, h('button', { className: 'primary' }, 'Run'));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    clearTimeout(timer);
    take();
  });
  const tryOne = (text) => {
    fields[0].field.value = text;
    take();
  };
  const texts = pair ? [] : [...new Set(examples.map(({ text }) => text).filter(Boolean))];
  const buttons = texts.map((text) => h('button', { type: 'button', className: 'quote', onclick: () => tryOne(text) }, text));
  return {
    title: pair ? 'Two texts' : 'Text',
    invitation: 'Type a text: the answer follows.',
    element: form,
    extras: buttons.length > 0 ? [h('h2', {}, 'Examples'), h('div', { className: 'row' }, ...buttons)] : [],
    fed: (_feeds, tokens) => {
      if (!tokens) return;
      const cut = tokens.most !== null && tokens.count > tokens.most;
      count.textContent = `${tokens.count} tokens${tokens.most === null ? '' : ` of at most ${tokens.most}`}${cut ? '; the rest is cut off' : ''}`;
    },
    begin: () => texts.length > 0 && tryOne(texts[0]),
  };
}
