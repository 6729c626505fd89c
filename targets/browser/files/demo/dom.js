/** An element with properties and children: h('button', { type: 'button' }, 'Clear'). */
export function h(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(0)} KB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function time(ms) {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${ms.toFixed(0)} ms`;
}

/** A button that opens a file chooser. */
export function fileButton(text, accept, take) {
  const chooser = h('input', { type: 'file', accept });
  chooser.addEventListener('change', () => {
    if (chooser.files[0]) take(chooser.files[0]);
    // The same file may be chosen again.
    chooser.value = '';
  });
  return h('label', { className: 'button' }, text, chooser);
}

/** Files dropped on an element, and those pasted anywhere. */
export function acceptDrops(holder, take) {
  const mark = (on) => (event) => {
    event.preventDefault();
    holder.classList.toggle('dropping', on);
  };
  holder.addEventListener('dragover', mark(true));
  holder.addEventListener('dragleave', mark(false));
  holder.addEventListener('drop', (event) => {
    mark(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) take(file);
  });
  document.addEventListener('paste', (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) take(file);
  });
}
