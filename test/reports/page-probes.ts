/** Scripts that look at the page from inside: text, because the tests are checked without the browser's types. */

/** Text whose colour is too close to what is behind it: 4.5 to 1, 3 to 1 for large text (WCAG 2.2, 1.4.3). */
export const weakText = `(() => {
  const rgb = (css) => {
    const [r = 0, g = 0, b = 0, a = 1] = (css.match(/[\\d.]+/g) ?? []).map(Number);
    return { r, g, b, a };
  };
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ({ r, g, b }) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.a === 1) return colour;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const weak = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.getClientRects().length === 0 || element.closest('script')) continue;
    const style = getComputedStyle(element);
    const a = luminance(rgb(element instanceof SVGElement ? style.fill : style.color));
    const b = luminance(behind(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = Number.parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) weak.push(element.tagName + '.' + element.getAttribute('class') + ' ' + ratio.toFixed(2) + ': ' + element.textContent.slice(0, 30));
  }
  return weak;
})()`;

/** Pixels that the page is wider than the window. */
export const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';

export const openAll = `document.querySelectorAll('details').forEach((fold) => { fold.open = true; })`;

/** What screen readers and keyboards go by. */
export const structure = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const missing = (id) => !document.getElementById(id ?? '');
  return {
    h1: all('h1').map((one) => one.textContent.trim()),
    landmarks: ['header', 'nav', 'main', 'footer'].map((name) => all(name).length),
    unnamedSections: all('section').filter((one) => missing(one.getAttribute('aria-labelledby'))).length,
    deadLinks: all('a[href^="#"]').filter((one) => missing(one.getAttribute('href').slice(1))).length,
    headlessTables: all('table').filter((one) => !one.querySelector('th[scope=col]') || !one.querySelector('th[scope=row]')).length,
    silentCharts: all('svg').filter((one) => !one.closest('[aria-hidden=true]') && !one.getAttribute('aria-label')).length,
    doubleIds: all('[id]').length - new Set(all('[id]').map((one) => one.id)).size,
    charts: all('svg.pareto').length,
  };
})()`;

/** Labels that stand out of their chart. */
export const labelsOutside = `[...document.querySelectorAll('svg.scatter')].flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('text')]
    .filter((text) => text.getClientRects().length > 0 && !text.closest('.tip'))
    .filter((text) => {
      const box = text.getBoundingClientRect();
      return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
    })
    .map((text) => text.textContent);
})`;

/** What would be cut off at the right edge of the paper: wider than the page, or scrolled away in a box of its own. */
export const cutInPrint = `[...document.querySelectorAll('main *')]
  .filter((one) => one.scrollWidth > one.clientWidth + 1 && ['auto', 'scroll', 'hidden'].includes(getComputedStyle(one).overflowX))
  .filter((one) => one.getClientRects().length > 0 && !one.closest('.bar-name,.vname,.sr') && getComputedStyle(one).display !== 'inline')
  .map((one) => one.tagName + '.' + one.getAttribute('class') + ' ' + one.scrollWidth + ' > ' + one.clientWidth)`;
