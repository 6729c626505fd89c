import { ModelError } from '../errors.js';

/** Channels to one, cut or filled up with silence to the length of the model; or the log-mel frames of that. @returns { feeds } */
export async function prepare(task, { channels, sampleRate }) {
  if (sampleRate !== task.sampleRate) {
    throw new ModelError('input', `The sound has ${sampleRate} samples a second; the model takes ${task.sampleRate}. Give the file itself, which is converted.`);
  }
  const available = channels[0]?.length ?? 0;
  if (available === 0) throw new ModelError('input', 'The sound is empty.');
  const length = task.features?.samples ?? task.length ?? available;
  const data = new Float32Array(length);
  for (let i = 0; i < Math.min(length, available, task.length ?? length); i++) {
    let sum = 0;
    for (const channel of channels) sum += channel[i];
    data[i] = sum / channels.length;
  }
  const feed = task.features ? await frames(data, task) : { data, dims: [1, length] };
  return { feeds: { [task.input]: task.dtype === 'float32' ? feed : { ...feed, data: Array.from(feed.data) } } };
}

async function frames(sound, { features, sampleRate }) {
  const { logMel } = await import('./log-mel.js');
  const data = logMel(sound, { ...features, sampleRate });
  return { data, dims: [1, features.mels, features.frames] };
}
