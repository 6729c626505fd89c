import { acceptDrops, fileButton, h } from './dom.js';
import { draw, fitInk, wipe } from './draw.js';

/**
 * An input for pictures: a pad to draw on where the model takes small grey pictures, and a picture by choosing, dropping or pasting.
 * @param ask runs the model on a picture, on feeds, or says what is wrong
 */
export function imageInput(model, examples, ask) {
  const { task } = model;
  const pad = h('canvas', { width: 320, height: Math.round((320 * task.height) / task.width) });
  pad.style.aspectRatio = `${task.width} / ${task.height}`;
  pad.setAttribute('role', 'img');
  pad.setAttribute('aria-label', task.drawn ? 'Drawing pad. Use an example or a picture instead if you cannot draw here.' : 'Picture');
  const hint = h('p', { className: 'hint' }, task.drawn ? 'Draw here' : 'Drop or paste a picture');
  const holder = h('div', { className: task.drawn ? 'pad' : 'pad picture' }, pad, hint);
  const seen = h('canvas', { width: task.width, height: task.height });
  let isPicture = false;
  const show = (canvas) => {
    hint.hidden = true;
    isPicture = true;
    const context = pad.getContext('2d');
    context.imageSmoothingEnabled = !task.drawn;
    context.drawImage(canvas, 0, 0, pad.width, pad.height);
    context.imageSmoothingEnabled = true;
  };
  const take = async (file) => {
    try {
      const bitmap = await createImageBitmap(file);
      show(cover(bitmap, pad));
    } catch {
      // The model's own answer says what is wrong with the file.
    }
    ask({ media: file });
  };
  const clear = () => {
    wipe(pad);
    wipe(seen);
    hint.hidden = false;
    isPicture = false;
  };
  clear();
  if (task.drawn) {
    // A picture on the pad makes way for the pen.
    const begin = () => {
      if (isPicture) wipe(pad);
      isPicture = false;
      hint.hidden = true;
    };
    draw(pad, () => ask({ media: fitInk(pad, task) }), begin);
  }
  acceptDrops(holder, take);
  const controls = h('div', { className: 'row' }, fileButton('Choose a picture', 'image/*', take));
  if (task.drawn) controls.prepend(h('button', { type: 'button', className: 'primary', onclick: clear }, 'Clear'));
  const pictures = examples.filter((feeds) => feeds[task.input] && Object.keys(feeds).length === 1);
  const tryOne = (feeds) => {
    show(toCanvas(task, feeds[task.input]));
    ask({ feeds });
  };
  const extras = [
    h('div', { className: 'row seen' }, seen, h('span', {}, `What the model sees: ${task.width} × ${task.height}`)),
    ...(pictures.length > 0
      ? [
          h('h2', {}, 'Examples'),
          h('div', { className: 'row' }, ...pictures.map((feeds, n) => exampleButton(toCanvas(task, feeds[task.input]), n, () => tryOne(feeds)))),
        ]
      : []),
  ];
  return {
    title: task.drawn ? 'Draw, or choose a picture' : 'Choose a picture',
    invitation: task.drawn ? 'Draw something: the answer follows your hand.' : 'Choose a picture.',
    element: h('div', {}, holder, controls),
    extras,
    /** Called with what was fed. */
    fed: (feeds) => seen.getContext('2d').drawImage(toCanvas(task, feeds[task.input]), 0, 0),
    begin: () => pictures.length > 0 && tryOne(pictures[0]),
  };
}

/** A picture scaled to fill the pad, cut at the longer side. */
function cover(bitmap, { width, height }) {
  const result = h('canvas', { width, height });
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [w, hgt] = [width / scale, height / scale];
  const context = result.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, (bitmap.width - w) / 2, (bitmap.height - hgt) / 2, w, hgt, 0, 0, width, height);
  bitmap.close();
  return result;
}

/** What the model is fed, back as a picture. */
function toCanvas(task, { data }) {
  const { width, height, channels, layout } = task;
  const count = channels === 'GRAY' ? 1 : 3;
  const canvas = h('canvas', { width, height });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const picture = context.createImageData(width, height);
  for (let p = 0; p < width * height; p++) {
    for (let c = 0; c < 3; c++) {
      const channel = count === 1 ? 0 : channels === 'BGR' ? 2 - c : c;
      const at = layout === 'NHWC' ? p * count + channel : channel * width * height + p;
      picture.data[p * 4 + c] = Math.round((Number(data[at]) - task.offset[channel]) / task.factor[channel]);
    }
    picture.data[p * 4 + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

function exampleButton(picture, n, onclick) {
  const button = h('button', { type: 'button', className: 'example', onclick }, picture);
  button.setAttribute('aria-label', `Example ${n + 1}`);
  return button;
}
