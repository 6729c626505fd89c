import { ModelError } from '../errors.js';

/** Channels to one, cut or filled up with silence to the length of the model. @returns { feeds } */
export function prepare(task, { channels, sampleRate }) {
  if (sampleRate !== task.sampleRate) {
    throw new ModelError('input', `The sound has ${sampleRate} samples a second; the model takes ${task.sampleRate}. Give the file itself, which is converted.`);
  }
  const available = channels[0]?.length ?? 0;
  if (available === 0) throw new ModelError('input', 'The sound is empty.');
  const length = task.length ?? available;
  const data = new Float32Array(length);
  for (let i = 0; i < Math.min(length, available); i++) {
    let sum = 0;
    for (const channel of channels) sum += channel[i];
    data[i] = sum / channels.length;
  }
  return { feeds: { [task.input]: { data: task.dtype === 'float32' ? data : Array.from(data), dims: [1, length] } } };
}
