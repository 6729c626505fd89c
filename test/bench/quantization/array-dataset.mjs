import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { npy, readNpy } from './npy.mjs';

/**
 * The samples that the rivals read, as a data set of ours: one array for each input. So neither side decodes pictures or cuts texts.
 * @param feeds folder of <number>/<input>.npy
 * @returns {Promise<string | undefined>} the folder; undefined where samples differ in shape
 */
export async function arrayDataset(feeds, dir) {
  const inputs = {};
  const numbers = readdirSync(feeds).sort((a, b) => Number(a) - Number(b));
  await mkdir(dir);
  for (const file of readdirSync(join(feeds, numbers[0]))) {
    const parts = numbers.map((number) => readNpy(readFileSync(join(feeds, number, file))));
    const [{ descr, shape }] = parts;
    if (shape.length === 0 || parts.some((part) => `${part.shape}` !== `${shape}`)) return undefined;
    const whole = npy(descr, [parts.length * shape[0], ...shape.slice(1)], Buffer.concat(parts.map(({ bytes }) => bytes)));
    await writeFile(join(dir, file), whole);
    inputs[file.slice(0, -'.npy'.length)] = { file, calibration: file };
  }
  await writeFile(join(dir, 'dataset.json'), JSON.stringify({ schema: 'mlpack.dataset/1', name: 'arrays', inputs }));
  return dir;
}
