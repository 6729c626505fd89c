import { ModelError } from '../errors.js';
import { resample } from './resample.js';

/** More is brought down by the browser before pixels are read: from 8 times the size on, nobody sees by what. */
const largest = 8;

/** Interleaved bytes of a picture on black, `count` for each pixel, and its size. */
function readPixels(bitmap, count, wanted) {
  const shrink = Math.min(1, largest * Math.max(wanted.width / bitmap.width, wanted.height / bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * shrink));
  const height = Math.max(1, Math.round(bitmap.height * shrink));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8ClampedArray(width * height * count);
  for (let p = 0; p < width * height; p++) {
    if (count === 1) pixels[p] = grey(data, p * 4);
    else for (let c = 0; c < 3; c++) pixels[p * 3 + c] = data[p * 4 + c];
  }
  return { pixels, width, height };
}

/** Luma of ITU-R BT.601, as Pillow's "L" mode. */
function grey(data, at) {
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

/** The longer side is cut down to whole pixels. */
function byShorterSide({ width, height }, side) {
  return width < height
    ? { width: side, height: Math.floor((side * height) / width) }
    : { width: Math.floor((side * width) / height), height: side };
}

/** The size that the whole picture is brought to, and where the model's frame lies in it (letterbox: it in the frame). */
function placement(picture, { width, height, resize, crop, anchor }) {
  const by = (factor) => ({
    width: Math.max(1, Math.round(picture.width * factor)),
    height: Math.max(1, Math.round(picture.height * factor)),
  });
  if (crop === 'letterbox') {
    const scaled = by(Math.min(width / picture.width, height / picture.height));
    const centred = anchor === 'center';
    const border = (room) => (centred ? Math.floor(room / 2) : 0);
    return { scaled, left: -border(width - scaled.width), top: -border(height - scaled.height) };
  }
  if (resize === null && crop === 'none') return { scaled: { width, height }, left: 0, top: 0 };
  const scaled = resize === null ? by(Math.max(width / picture.width, height / picture.height)) : byShorterSide(picture, resize);
  return { scaled, left: Math.floor((scaled.width - width) / 2), top: Math.floor((scaled.height - height) / 2) };
}

/** Drawn things are light on dark: a picture with a light border is turned over. */
function turnOver(pixels, { width, height }) {
  let sum = 0;
  let places = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (x > 0 && y > 0 && x < width - 1 && y < height - 1) continue;
      sum += pixels[y * width + x];
      places++;
    }
  }
  return sum / places > 127 ? pixels.map((value) => 255 - value) : pixels;
}

/** @returns { feeds }: the picture as the model was trained to see it */
export function prepare(task, { bitmap }) {
  if (!bitmap?.width) throw new ModelError('input', 'The picture is empty.');
  const count = task.channels === 'GRAY' ? 1 : 3;
  const picture = { width: bitmap.width, height: bitmap.height };
  const { scaled, left, top } = placement(picture, task);
  const read = readPixels(bitmap, count, scaled);
  let pixels = resample(read.pixels, { ...read, count }, scaled, task.interpolation);
  if (task.drawn) pixels = turnOver(pixels, scaled);
  const { width, height, layout } = task;
  const data = new Float32Array(count * width * height);
  const [step, stride] = layout === 'NHWC' ? [count, 1] : [1, width * height];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sx, sy] = [x + left, y + top];
      const inside = sx >= 0 && sy >= 0 && sx < scaled.width && sy < scaled.height;
      for (let c = 0; c < count; c++) {
        const from = (sy * scaled.width + sx) * count + (task.channels === 'BGR' ? 2 - c : c);
        const value = inside ? pixels[from] : task.pad;
        data[(y * width + x) * step + c * stride] = value * task.factor[c] + task.offset[c];
      }
    }
  }
  const dims = layout === 'NHWC' ? [1, height, width, count] : [1, count, height, width];
  const whole = task.dtype.startsWith('float') ? Array.from : (values) => Array.from(values, Math.round);
  return { feeds: { [task.input]: { data: task.dtype === 'float32' ? data : whole.call(Array, data), dims } } };
}
