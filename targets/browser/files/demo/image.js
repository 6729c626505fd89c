import { h } from './dom.js';

/**
 * An input for pictures: a pad to draw on where the model takes small grey pictures, and a picture by choosing or dropping.
 * @param image { input, height, width, channels: 'GRAY' | 'RGB' | 'BGR', layout: 'NCHW' | 'NHWC', factor[], offset[] }:
 *   a tensor element is pixel (0…255) · factor + offset, by channel
 */
export function imageInput(image, examples, run) {
  const drawing = image.channels === 'GRAY' && Math.max(image.height, image.width) <= 64;
  const side = 320;
  const pad = h('canvas', { width: side, height: Math.round((side * image.height) / image.width) });
  pad.style.aspectRatio = `${image.width} / ${image.height}`;
  pad.setAttribute('role', 'img');
  pad.setAttribute('aria-label', drawing ? 'Drawing pad. Use an example or a picture instead if you cannot draw here.' : 'Picture');
  const seen = h('canvas', { width: image.width, height: image.height });
  const hint = h('p', { className: 'hint' }, drawing ? 'Draw here' : 'Drop a picture here');
  const holder = h('div', { className: drawing ? 'pad' : 'pad picture' }, pad, hint);
  let onPad = false;
  const show = (source, bare = false) => {
    hint.hidden = true;
    onPad = bare;
    seen.getContext('2d').drawImage(source, 0, 0);
    if (bare) {
      const context = pad.getContext('2d');
      context.imageSmoothingEnabled = !drawing;
      context.drawImage(source, 0, 0, pad.width, pad.height);
      context.imageSmoothingEnabled = true;
    }
    run({ [image.input]: toTensor(image, source) });
  };
  const clear = () => {
    wipe(pad);
    wipe(seen);
    hint.hidden = false;
  };
  clear();
  // A picture on the pad makes way for the pen.
  const begin = () => {
    if (onPad) wipe(pad);
    hint.hidden = true;
  };
  if (drawing) draw(pad, () => show(fitInk(pad, image)), begin);
  const take = async (file) => {
    const bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
    show(cover(bitmap, image), true);
  };
  acceptDrops(holder, take);
  const chooser = h('input', { type: 'file', accept: 'image/*' });
  chooser.addEventListener('change', () => chooser.files[0] && take(chooser.files[0]));
  const controls = h('div', { className: 'row' });
  if (drawing) controls.append(h('button', { type: 'button', className: 'primary', onclick: clear }, 'Clear'));
  controls.append(h('label', { className: 'button' }, 'Choose a picture', chooser));
  const preview = h('div', { className: 'seen' }, seen, h('span', {}, `What the model sees: ${image.width} × ${image.height}`));
  const pictures = examples.map((feeds) => pictureOf(image, feeds)).filter(Boolean);
  const thumbs = pictures.map((picture, n) => exampleButton(picture, n, () => show(picture, true)));
  const extras = [h('div', { className: 'row' }, preview)];
  if (thumbs.length > 0) extras.push(h('p', { className: 'muted timing' }, 'Examples'), h('div', { className: 'row' }, ...thumbs));
  return {
    title: drawing ? 'Draw, or choose a picture' : 'Choose a picture',
    invitation: drawing ? 'Draw something: the answer follows your hand.' : 'Choose a picture.',
    element: h('div', {}, holder, controls),
    extras,
    begin: () => pictures.length > 0 && show(pictures[0], true),
  };
}

function wipe(canvas) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
}

/** Pen strokes, white on black, as wide as in common data sets of drawn characters. */
function draw(pad, changed, begun) {
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
function fitInk(pad, { width, height }) {
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
  smooth(result).drawImage(pad, left, top, w, hgt, (width - w * scale) / 2, (height - hgt * scale) / 2, w * scale, hgt * scale);
  return result;
}

function smooth(canvas) {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  return context;
}

/** A picture scaled to fill the model's frame, cut at the longer side. Grey pictures on a light ground are turned over. */
function cover(bitmap, { width, height, channels }) {
  const result = h('canvas', { width, height });
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [w, hgt] = [width / scale, height / scale];
  const context = smooth(result);
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - hgt) / 2, w, hgt, 0, 0, width, height);
  if (channels === 'GRAY' && borderIsLight(context, width, height)) {
    context.globalCompositeOperation = 'difference';
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
  }
  return result;
}

function borderIsLight(context, width, height) {
  const { data } = context.getImageData(0, 0, width, height);
  let sum = 0;
  let count = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
      sum += grey(data, (y * width + x) * 4);
      count++;
    }
  }
  return sum / count > 127;
}

/** Luma of ITU-R BT.601, as Pillow's "L" mode. */
function grey(data, at) {
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

/** Number of channels, and where channel c of pixel p lies in the tensor. */
function placing({ channels, layout, width, height }) {
  const count = channels === 'GRAY' ? 1 : 3;
  const place = layout === 'NHWC' ? (c, p) => p * count + c : (c, p) => c * width * height + p;
  return { count, place };
}

function dims({ layout, width, height }, count) {
  return layout === 'NHWC' ? [1, height, width, count] : [1, count, height, width];
}

function toTensor(image, canvas) {
  const { count, place } = placing(image);
  const { data: pixels } = canvas.getContext('2d').getImageData(0, 0, image.width, image.height);
  const data = new Float32Array(count * image.width * image.height);
  for (let p = 0; p < image.width * image.height; p++) {
    for (let c = 0; c < count; c++) {
      const value = count === 1 ? grey(pixels, p * 4) : pixels[p * 4 + (image.channels === 'BGR' ? 2 - c : c)];
      data[place(c, p)] = value * image.factor[c] + image.offset[c];
    }
  }
  const plain = image.dtype.startsWith('float') ? Array.from(data) : Array.from(data, Math.round);
  return { data: image.dtype === 'float32' ? data : plain, dims: dims(image, count) };
}

/** A recorded input back as a picture. */
function toCanvas(image, tensor) {
  const { count, place } = placing(image);
  const canvas = h('canvas', { width: image.width, height: image.height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const picture = context.createImageData(image.width, image.height);
  for (let p = 0; p < image.width * image.height; p++) {
    for (let c = 0; c < 3; c++) {
      const channel = count === 1 ? 0 : image.channels === 'BGR' ? 2 - c : c;
      const value = (Number(tensor.data[place(channel, p)]) - image.offset[channel]) / image.factor[channel];
      picture.data[p * 4 + c] = Math.round(value);
    }
    picture.data[p * 4 + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** The picture in a recorded input, where that is all the model is fed. */
function pictureOf(image, feeds) {
  const tensor = feeds[image.input];
  return tensor && Object.keys(feeds).length === 1 ? toCanvas(image, tensor) : undefined;
}

function exampleButton(picture, n, onclick) {
  const thumb = h('canvas', { width: picture.width, height: picture.height });
  thumb.getContext('2d').drawImage(picture, 0, 0);
  const button = h('button', { type: 'button', className: 'example', onclick }, thumb);
  button.setAttribute('aria-label', `Example ${n + 1}`);
  return button;
}

function acceptDrops(holder, take) {
  const mark = (on) => (event) => {
    event.preventDefault();
    holder.classList.toggle('dropping', on);
  };
  holder.addEventListener('dragover', mark(true));
  holder.addEventListener('dragleave', mark(false));
  holder.addEventListener('drop', (event) => {
    mark(false)(event);
    const [file] = event.dataTransfer.files;
    if (file) void take(file);
  });
}
