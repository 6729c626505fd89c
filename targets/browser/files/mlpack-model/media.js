/** What only a page can do with what a person gives: decode pictures and sounds. The rest happens in the worker (prepare.js). */
import { messageOf, ModelError } from './errors.js';

/**
 * @param input a picture (file, image, canvas, ImageData), one text or two, or a sound (file, AudioBuffer, Float32Array)
 * @returns { media, transfer }: what goes to the worker, and the buffers that go with it
 */
export async function readMedia(task, input) {
  if (!task) throw new ModelError('input', 'This model was packed without a description of its data: use run() with numbers.');
  if (task.kind === 'text') return { media: readText(task, input), transfer: [] };
  if (task.kind === 'image') return readPicture(input);
  return readSound(task, input);
}

function readText({ pair }, input) {
  const texts = Array.isArray(input) ? input : [input];
  const wanted = pair ? 2 : 1;
  if (texts.length === wanted && texts.every((text) => typeof text === 'string')) return { texts };
  throw new ModelError('input', pair ? 'Give two texts: predict([first, second]).' : 'Give a text: predict("…").');
}

async function readPicture(input) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(input, { imageOrientation: 'from-image', premultiplyAlpha: 'none', colorSpaceConversion: 'default' });
  } catch (error) {
    const what = input?.type ? `a file of type ${input.type}` : `what was given (${input?.constructor?.name ?? typeof input})`;
    throw new ModelError('input', `This browser cannot read ${what} as a picture: ${messageOf(error)}`, { cause: error });
  }
  return { media: { bitmap }, transfer: [bitmap] };
}

async function readSound({ sampleRate }, input) {
  if (input instanceof Float32Array) return { media: { channels: [input], sampleRate }, transfer: [] };
  const buffer = input instanceof Blob ? await decode(input, sampleRate) : input;
  if (typeof buffer?.getChannelData !== 'function')
    throw new ModelError('input', 'Give a sound: a file, an AudioBuffer, or a Float32Array of samples at the rate of the model.');
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, n) => buffer.getChannelData(n).slice());
  return { media: { channels, sampleRate: buffer.sampleRate }, transfer: channels.map((one) => one.buffer) };
}

/** Decoded at the rate that the model wants: the browser resamples on the way. */
async function decode(blob, sampleRate) {
  try {
    return await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(await blob.arrayBuffer());
  } catch (error) {
    const what = blob.type ? `a file of type ${blob.type}` : 'this file';
    throw new ModelError('input', `This browser cannot read ${what} as a sound: ${messageOf(error)}`, { cause: error });
  }
}
