/** A pad to draw on, for models of small grey pictures. */
import { h } from './dom.js';

export function wipe(canvas) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
}

/** Pen strokes, white on black, as wide as in common data sets of drawn characters. */
export function draw(pad, changed, begun) {
  const context = pad.getContext('2d', { willReadFrequently: true });
  let last;
  const point = ({ clientX, clientY }) => {
    const box = pad.getBoundingClientRect();
    return { x: ((clientX - box.left) * pad.width) / box.width, y: ((clientY - box.top) * pad.height) / box.height };
  };
  const stroke = (event) => {
    const next = point(event);
    context.strokeStyle = '#fff';
    context.lineWidth = pad.width * 0.075;
    context.lineCap = 'round';
    context.lineJoin = 'round';
    context.beginPath();
    context.moveTo(last.x, last.y);
    context.lineTo(next.x, next.y);
    context.stroke();
    last = next;
    changed();
  };
  pad.addEventListener('pointerdown', (event) => {
    pad.setPointerCapture(event.pointerId);
    last = point(event);
    begun();
    stroke(event);
  });
  pad.addEventListener('pointermove', (event) => {
    if (!last) return;
    for (const step of event.getCoalescedEvents?.() ?? [event]) stroke(step);
  });
  for (const end of ['pointerup', 'pointercancel']) pad.addEventListener(end, () => (last = undefined));
}

/** What was drawn, brought to the middle and to five sevenths of the side, as in common data sets of drawn characters. */
export function fitInk(pad, { width, height }) {
  const { data } = pad.getContext('2d').getImageData(0, 0, pad.width, pad.height);
  let [left, top, right, bottom] = [pad.width, pad.height, -1, -1];
  for (let y = 0; y < pad.height; y++) {
    for (let x = 0; x < pad.width; x++) {
      if (data[(y * pad.width + x) * 4] < 64) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  const result = h('canvas', { width, height });
  wipe(result);
  if (right < 0) return result;
  const [w, hgt] = [right - left + 1, bottom - top + 1];
  const scale = (5 / 7) * Math.min(width / w, height / hgt);
  const context = result.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingQuality = 'high';
  context.drawImage(pad, left, top, w, hgt, (width - w * scale) / 2, (height - hgt * scale) / 2, w * scale, hgt * scale);
  return result;
}
