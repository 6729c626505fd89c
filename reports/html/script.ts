/** The page works without this: it adds a search over the reasons and buttons that copy commands. */
export const script = `
(() => {
  const form = document.querySelector('.search');
  if (form) {
    const input = form.querySelector('#find');
    const only = form.querySelector('#only');
    const changed = form.querySelector('#changed');
    const output = form.querySelector('output');
    const reasons = [...document.querySelectorAll('#steps .reason')].map((item) => ({ item, recipe: item.closest('.recipe').dataset.at, text: item.textContent.toLowerCase() }));
    const opened = new Set();
    const filter = () => {
      const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
      const variant = only.value;
      let found = 0;
      for (const { item, recipe, text } of reasons) {
        item.hidden = !words.every((word) => text.includes(word));
        if (!item.hidden && (variant === '' || recipe === variant)) found++;
      }
      for (const step of document.querySelectorAll('#steps .step')) {
        step.hidden = (words.length > 0 && !step.querySelector('.reason:not([hidden])')) || (changed.checked && step.classList.contains('idle'));
        const fold = step.querySelector('details.skipped');
        if (!fold) continue;
        if (words.length > 0 && !step.hidden && !fold.open) { fold.open = true; opened.add(fold); }
        if (words.length === 0 && opened.delete(fold)) fold.open = false;
      }
      for (const recipe of document.querySelectorAll('#steps .recipe')) {
        recipe.hidden = (variant !== '' && recipe.dataset.at !== variant) || ((words.length > 0 || changed.checked) && !recipe.querySelector('.step:not([hidden])'));
      }
      output.textContent = words.length > 0 ? found + ' of ' + reasons.length + ' reasons' : '';
    };
    form.hidden = false;
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('input', filter);
  }
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll('.copy')) {
      button.hidden = false;
      button.addEventListener('click', async () => {
        try {
          await navigator.clipboard.writeText(button.parentElement.querySelector('code').textContent);
          button.textContent = 'Copied';
        } catch {
          button.textContent = 'Not allowed';
        }
        setTimeout(() => { button.textContent = 'Copy'; }, 2000);
      });
    }
  }
})();
`;
