import type { Artifact } from '../../src/target/target.ts';

/** How the demo page turns a picture into the model's input: pixel (0…255) · factor + offset, by channel. */
export interface ImageInput {
  readonly input: string;
  readonly dtype: string;
  readonly height: number;
  readonly width: number;
  readonly channels: 'GRAY' | 'RGB' | 'BGR';
  readonly layout: 'NCHW' | 'NHWC';
  readonly factor: readonly number[];
  readonly offset: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A number for every channel, from one number, a list, or nothing. */
function perChannel(value: unknown, count: number, fallback: number): number[] | undefined {
  if (value === undefined || value === null) return Array(count).fill(fallback);
  if (typeof value === 'number') return Array(count).fill(value);
  if (!Array.isArray(value) || !value.every((item): item is number => typeof item === 'number')) return undefined;
  if (value.length === 1) return Array(count).fill(value[0]);
  return value.length === count ? value : undefined;
}

/** Height, width and channels where a shape is [N, C, H, W] or [N, H, W, C] with 1 or 3 channels and sides of a picture. */
function pictureShape(shape: readonly (number | string | null)[] | null, layout: 'NCHW' | 'NHWC') {
  if (shape?.length !== 4 || (typeof shape[0] === 'number' && shape[0] !== 1)) return undefined;
  const [, a, b, c] = shape;
  const [count, height, width] = layout === 'NCHW' ? [a, b, c] : [c, a, b];
  const isSide = (side: unknown): side is number => typeof side === 'number' && side >= 8 && side <= 2048;
  if ((count !== 1 && count !== 3) || !isSide(height) || !isSide(width)) return undefined;
  return { count, height, width };
}

/**
 * Reads the `inputs` section of dataset.json for a model with one input that is a picture. Undefined where the model is not
 * fed pictures, or how pixels become numbers is not said.
 */
export function imageInput({ inputs, preprocessing }: Artifact): ImageInput | undefined {
  const [input] = inputs;
  if (!input || inputs.length !== 1 || !isObject(preprocessing)) return undefined;
  const spec = preprocessing[input.name];
  if (!isObject(spec)) return undefined;
  return typeof spec.images === 'string' ? fromPictures(input, spec) : fromArray(input, spec);
}

type Io = Artifact['inputs'][number];

/** Decoded pictures: (pixel − mean) · scale / std. */
function fromPictures({ name, dtype, shape }: Io, spec: Json): ImageInput | undefined {
  const layout = spec.layout === 'NHWC' ? 'NHWC' : 'NCHW';
  const frame = pictureShape(shape, layout) ?? sizeOf(spec);
  if (!frame) return undefined;
  const channels = spec.channels === 'GRAY' || spec.channels === 'BGR' ? spec.channels : 'RGB';
  const count = channels === 'GRAY' ? 1 : 3;
  const mean = perChannel(spec.mean, count, 0);
  const std = perChannel(spec.std, count, 1);
  const scale = typeof spec.scale === 'number' ? spec.scale : 1;
  if (!mean || !std) return undefined;
  const factor = std.map((value) => scale / value);
  const offset = factor.map((value, c) => -(mean[c] ?? 0) * value);
  return { input: name, dtype, height: frame.height, width: frame.width, channels, layout, factor, offset };
}

function sizeOf({ size }: Json): { height: number; width: number } | undefined {
  if (!Array.isArray(size)) return undefined;
  const [height, width] = size as unknown[];
  return typeof height === 'number' && typeof width === 'number' ? { height, width } : undefined;
}

/** Stored pixels: x · scale + bias. Without either, nobody says that the numbers are pixels. */
function fromArray({ name, dtype, shape }: Io, spec: Json): ImageInput | undefined {
  const frame = pictureShape(shape, 'NCHW');
  if (!frame || (spec.scale === undefined && spec.bias === undefined)) return undefined;
  const factor = perChannel(spec.scale, frame.count, 1);
  const offset = perChannel(spec.bias, frame.count, 0);
  if (!factor || !offset || factor.includes(0)) return undefined;
  const channels = frame.count === 1 ? 'GRAY' : 'RGB';
  return { input: name, dtype, height: frame.height, width: frame.width, channels, layout: 'NCHW', factor, offset };
}
