import { join } from 'node:path';
import { numbersOf } from '../data/cast.ts';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { makeFolder } from '../make-folder.ts';

/**
 * Writes what a model is fed as a PNG file, its values stretched from the smallest to the largest, so that a wrong order of channels, a wrong
 * crop or a turned picture is seen. Tensors of [1, 1 or 3, h, w] and [1, h, w, 1 or 3] are pictures.
 * @returns the file, or undefined where the tensor is no picture
 */
export async function writePicture(folder: string, name: string, tensor: Tensor): Promise<string | undefined> {
  const [batch = 0, a = 0, b = 0, c = 0] = tensor.shape;
  const isChannels = (extent: number): boolean => extent === 1 || extent === 3;
  if (tensor.shape.length !== 4 || batch < 1 || !(isChannels(a) || isChannels(c))) return undefined;
  const isFirst = isChannels(a);
  const [channels, height, width] = isFirst ? [a, b, c] : [c, a, b];
  const plane = height * width;
  const values = numbersOf(tensor).subarray(0, channels * plane);
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const scale = high > low ? 255 / (high - low) : 0;
  const pixels = new Uint8Array(channels * plane);
  for (let pixel = 0; pixel < plane; pixel++)
    for (let channel = 0; channel < channels; channel++)
      pixels[pixel * channels + channel] =
        ((values[isFirst ? channel * plane + pixel : pixel * channels + channel] as number) - low) * scale;
  const { default: sharp } = await import('sharp');
  const file = join(folder, `${name.replaceAll(/[^\w.-]+/g, '_')}.png`);
  try {
    await makeFolder(folder);
    await sharp(pixels, { raw: { width, height, channels: channels as 1 | 3 } }).toFile(file);
  } catch (error) {
    throw new UserError('picture.write', `the picture "${file}" cannot be written: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  return file;
}
