import type { Artifact } from '../../src/target/target.ts';
import { isObject, type Json } from './json.ts';

/** How a picture becomes the model's input: brought to size, then pixel (0…255) · factor + offset, by channel as fed. */
export interface ImageTask {
  readonly kind: 'image';
  readonly input: string;
  readonly dtype: string;
  readonly height: number;
  readonly width: number;
  /** The shorter side is brought to this first. */
  readonly resize: number | null;
  readonly crop: 'center' | 'none' | 'letterbox';
  readonly pad: number;
  readonly anchor: 'center' | 'corner';
  readonly interpolation: 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';
  readonly channels: 'GRAY' | 'RGB' | 'BGR';
  readonly layout: 'NCHW' | 'NHWC';
  readonly factor: readonly number[];
  readonly offset: readonly number[];
  /** Small grey pictures, light on dark: they can be drawn, and pictures on a light ground are turned over. */
  readonly drawn: boolean;
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

type Io = Artifact['inputs'][number];

/** Reads the `inputs` section of dataset.json for a model with one input that is a picture. */
export function imageTask({ inputs }: Artifact, sections: Json): ImageTask | undefined {
  const [input] = inputs;
  const section = sections[input?.name ?? ''];
  if (!input || inputs.length !== 1 || !isObject(section)) return undefined;
  return typeof section.images === 'string' ? fromPictures(input, section) : fromArray(input, section);
}

function choice<T extends string>(value: unknown, known: readonly T[], fallback: T): T {
  return known.find((one) => one === value) ?? fallback;
}

/** Decoded pictures: (pixel − mean) · scale / std. */
function fromPictures({ name, dtype, shape }: Io, spec: Json): ImageTask | undefined {
  const layout = choice(spec.layout, ['NCHW', 'NHWC'], 'NCHW');
  const frame = pictureShape(shape, layout) ?? sizeOf(spec);
  if (!frame) return undefined;
  const channels = choice(spec.channels, ['GRAY', 'RGB', 'BGR'], 'RGB');
  const count = channels === 'GRAY' ? 1 : 3;
  const mean = perChannel(spec.mean, count, 0);
  const std = perChannel(spec.std, count, 1);
  const scale = typeof spec.scale === 'number' ? spec.scale : 1;
  if (!mean || !std) return undefined;
  const factor = std.map((value) => scale / value);
  const offset = factor.map((value, c) => -(mean[c] ?? 0) * value);
  return {
    ...{ kind: 'image', input: name, dtype, height: frame.height, width: frame.width },
    resize: typeof spec.resize === 'number' ? spec.resize : null,
    crop: choice(spec.crop, ['center', 'none', 'letterbox'], 'center'),
    // Pixels are whole, there as well as where the data is read.
    pad: typeof spec.pad === 'number' ? Math.trunc(spec.pad) : 114,
    anchor: choice(spec.anchor, ['center', 'corner'], 'center'),
    interpolation: choice(spec.interpolation, ['nearest', 'bilinear', 'bicubic', 'lanczos'], 'bilinear'),
    ...{ channels, layout, factor, offset, drawn: false },
  };
}

function sizeOf({ size }: Json): { height: number; width: number } | undefined {
  if (!Array.isArray(size)) return undefined;
  const [height, width] = size as unknown[];
  return typeof height === 'number' && typeof width === 'number' ? { height, width } : undefined;
}

/** Stored pixels: x · scale + bias. Without either, nobody says that the numbers are pixels. */
function fromArray({ name, dtype, shape }: Io, spec: Json): ImageTask | undefined {
  const frame = pictureShape(shape, 'NCHW');
  if (!frame || (spec.scale === undefined && spec.bias === undefined)) return undefined;
  const factor = perChannel(spec.scale, frame.count, 1);
  const offset = perChannel(spec.bias, frame.count, 0);
  if (!factor || !offset || factor.includes(0)) return undefined;
  const { height, width, count } = frame;
  return {
    ...{ kind: 'image', input: name, dtype, height, width, resize: null },
    ...{ crop: 'center', pad: 114, anchor: 'center', interpolation: 'bilinear' },
    ...{ channels: count === 1 ? 'GRAY' : 'RGB', layout: 'NCHW', factor, offset },
    drawn: count === 1 && Math.max(height, width) <= 64,
  };
}
