/**
 * A web component: <mlpack-model base="/mlpack-model/"></mlpack-model>. A picture or sound is chosen, a text typed; the answer stands
 * below. Events: `ready` (detail: the model), `answer` (detail: the prediction), `failed` (detail: the error).
 */
import { load } from './index.js';

const style = `
  :host { display: block; font: inherit; }
  label { display: grid; gap: .25rem; }
  input, textarea, button { font: inherit; color: inherit; }
  ol { padding-left: 1.5rem; }
  [role=alert] { color: #b3261e; }
`;

const accepts = { image: 'image/*', audio: 'audio/*' };
const asks = { image: 'Picture', audio: 'Sound', text: 'Text' };

function h(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export class MlpackModelElement extends HTMLElement {
  #stop;
  #model;
  #answer = h('div', { ariaLive: 'polite' });

  async connectedCallback() {
    const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    const bar = h('progress', { max: 1, value: 0, ariaLabel: 'Loading the model' });
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    root.replaceChildren(h('style', {}, style), bar);
    const onProgress = ({ loaded, total }) => {
      if (total > 0) bar.value = loaded / total;
    };
    try {
      const options = { base: this.getAttribute('base') ?? undefined, provider: this.getAttribute('provider') ?? 'auto' };
      const model = await load({ ...options, onProgress, signal });
      if (signal.aborted) {
        void model.dispose();
        return;
      }
      this.#model = model;
      root.replaceChildren(h('style', {}, style), this.#field(model.task?.kind), this.#answer);
      this.dispatchEvent(new CustomEvent('ready', { detail: model }));
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
      bar.replaceWith(this.#answer);
    }
  }

  disconnectedCallback() {
    this.#stop?.abort();
    void this.#model?.dispose();
    this.#model = undefined;
  }

  #field(kind) {
    if (kind === undefined) return h('p', {}, 'This model takes numbers: use the "ready" event and run().');
    if (kind !== 'text') {
      const field = h('input', { type: 'file', accept: accepts[kind] });
      field.addEventListener('change', () => field.files[0] && this.predict(field.files[0]));
      return h('label', {}, asks[kind], field);
    }
    const field = h('textarea', { rows: 3 });
    const form = h('form', {}, h('label', {}, asks.text, field), h('button', {}, 'Run'));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.predict(field.value);
    });
    return form;
  }

  /** Runs the model and shows what it answers. */
  async predict(input) {
    try {
      const prediction = await this.#model.predict(input);
      const rows = prediction.answer?.slice(0, 3).map(({ label, score }) => h('li', {}, `${label} (${(score * 100).toFixed(1)} %)`));
      this.#answer.replaceChildren(rows ? h('ol', {}, ...rows) : `Answered in ${prediction.ms.toFixed(0)} ms.`);
      this.dispatchEvent(new CustomEvent('answer', { detail: prediction }));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    const text = h('p', {}, error.message);
    text.setAttribute('role', 'alert');
    this.#answer.replaceChildren(text);
    this.dispatchEvent(new CustomEvent('failed', { detail: error }));
  }
}

customElements.define('mlpack-model', MlpackModelElement);
