import { acceptDrops, fileButton, h } from './dom.js';

/** A recording ends by itself after so long, or after what the model takes. */
const longestMs = 30_000;

/** An input for sounds: a file by choosing or dropping, or a recording. */
export function audioInput(model, examples, ask) {
  const { task } = model;
  const wave = h('canvas', { width: 640, height: 160 });
  wave.setAttribute('role', 'img');
  wave.setAttribute('aria-label', 'Wave of the sound');
  const hint = h('p', { className: 'hint' }, 'Drop a sound here');
  const holder = h('div', { className: 'pad picture wave' }, wave, hint);
  const player = h('audio', { controls: true, hidden: true });
  const take = (file) => {
    if (player.src) URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(file);
    player.hidden = false;
    ask({ media: file });
  };
  acceptDrops(holder, take);
  const controls = h('div', { className: 'row' }, fileButton('Choose a sound', 'audio/*', take));
  const most = task.length === null ? longestMs : Math.min(longestMs, (1000 * task.length) / task.sampleRate);
  if (navigator.mediaDevices?.getUserMedia) controls.prepend(recordButton(most, take, (error) => ask({ error })));
  const sounds = examples.filter((feeds) => feeds[task.input]);
  const buttons = sounds.map((feeds, n) => h('button', { type: 'button', onclick: () => ask({ feeds }) }, `Example ${n + 1}`));
  return {
    title: 'Record, or choose a sound',
    invitation: 'Record a sound, or choose one.',
    element: h('div', {}, holder, player, controls),
    extras: buttons.length > 0 ? [h('h2', {}, 'Examples'), h('div', { className: 'row' }, ...buttons)] : [],
    fed: (feeds) => {
      hint.hidden = true;
      drawWave(wave, feeds[task.input].data);
    },
    begin: () => sounds.length > 0 && ask({ feeds: sounds[0] }),
  };
}

function recordButton(most, take, failed) {
  let recorder;
  const button = h('button', { type: 'button', className: 'primary' }, 'Record');
  const begin = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pieces = [];
    recorder = new MediaRecorder(stream);
    recorder.addEventListener('dataavailable', ({ data }) => pieces.push(data));
    recorder.addEventListener('stop', () => {
      for (const track of stream.getTracks()) track.stop();
      button.textContent = 'Record';
      const { mimeType } = recorder;
      recorder = undefined;
      take(new Blob(pieces, { type: mimeType }));
    });
    recorder.start();
    button.textContent = 'Stop';
    setTimeout(() => recorder?.state === 'recording' && recorder.stop(), most);
  };
  button.addEventListener('click', () => {
    if (recorder) recorder.stop();
    else begin().catch((error) => failed(new Error(`The microphone cannot be used: ${error.message}.`)));
  });
  return button;
}

/** Loudest and quietest value of each column. */
function drawWave(canvas, data) {
  const context = canvas.getContext('2d');
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#8fb0ff';
  const middle = canvas.height / 2;
  for (let x = 0; x < canvas.width; x++) {
    let [low, high] = [0, 0];
    const end = Math.floor(((x + 1) * data.length) / canvas.width);
    for (let i = Math.floor((x * data.length) / canvas.width); i < end; i++) {
      low = Math.min(low, data[i]);
      high = Math.max(high, data[i]);
    }
    context.fillRect(x, middle - high * middle, 1, Math.max(1, (high - low) * middle));
  }
}
