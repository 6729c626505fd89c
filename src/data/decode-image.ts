import type { Sharp } from 'sharp';
import { UserError } from '../errors.ts';
import { enlarge } from '../kernels/enlarge.ts';
import type { Geometry } from './metrics/metric.ts';
import type { ImageSpec } from './specs.ts';

export interface Decoded {
  /** Interleaved bytes of the picture at its final size. */
  readonly pixels: Uint8Array;
  readonly geometry: Geometry;
}

const kernels = { nearest: 'nearest', bilinear: 'linear', bicubic: 'cubic', lanczos: 'lanczos3' } as const;

/** A picture of more pixels is refused before it is unpacked (sharp's own bound). */
const mostPixels = 268_402_689;

/**
 * Two turns through Node's thread pool, with nothing to do on the main thread between them but to queue the second: ONNX Runtime's binding holds the
 * main thread while it runs, so each turn more would wait for one more inference.
 * @throws UserError for settings that do not fit the picture, Error of sharp for a file that is none
 */
export async function decodeImage(file: string, spec: ImageSpec): Promise<Decoded> {
  return await (await startDecoding(file, spec)).decoded;
}

/** The first turn; the second has been started when it resolves, and goes on while the main thread is held. */
export async function startDecoding(file: string, spec: ImageSpec): Promise<{ readonly decoded: Promise<Decoded> }> {
  const { default: sharp } = await import('sharp');
  // A file that is cut short decodes to grey below; that is no sample.
  const options = { failOn: 'truncated', limitInputPixels: mostPixels } as const;
  const { autoOrient, format } = await sharp(file, options).metadata();
  const plan = placement(autoOrient, spec, file);
  const { scaled, window } = plan;
  let image: Sharp = sharp(file, options).autoOrient().flatten().toColourspace('srgb');
  // libvips makes pictures smaller as Pillow does. Larger ones it lays half a pixel off, and knows no Lanczos for them; its nearest pixel is another one.
  const own = spec.interpolation === 'nearest';
  const shrunk = own ? autoOrient : smaller(autoOrient, scaled);
  if (shrunk.width !== autoOrient.width || shrunk.height !== autoOrient.height)
    image = image.resize(shrunk.width, shrunk.height, {
      fit: 'fill',
      kernel: kernels[spec.interpolation],
      // The scaler in libwebp's decoder takes the place of the kernel: up to 47 levels off.
      fastShrinkOnLoad: format !== 'webp',
    });
  const grows = shrunk.width !== scaled.width || shrunk.height !== scaled.height;
  if (!grows && (window.width !== scaled.width || window.height !== scaled.height)) image = image.extract(window);
  const [height, width] = spec.size;
  const { top, left } = plan.border;
  if (!grows && spec.crop === 'letterbox')
    image = image.extend({
      top,
      left,
      bottom: height - window.height - top,
      right: width - window.width - left,
      background: { r: spec.pad, g: spec.pad, b: spec.pad },
    });
  const pixels = image.raw().toBuffer({ resolveWithObject: true });
  const geometry: Geometry = {
    width: autoOrient.width,
    height: autoOrient.height,
    scaleX: scaled.width / autoOrient.width,
    scaleY: scaled.height / autoOrient.height,
    left: left - window.left,
    top: top - window.top,
    fedWidth: width,
    fedHeight: height,
  };
  const finish = (found: Uint8Array): Uint8Array => (grows ? enlarged(found, shrunk, plan, spec) : found);
  return {
    decoded: pixels.then(({ data, info }) => ({
      pixels: finish(inChannels(data, info.channels, spec, file)),
      geometry,
    })),
  };
}

function smaller(a: Size, b: Size): Size {
  return { width: Math.min(a.width, b.width), height: Math.min(a.height, b.height) };
}

/** What libvips was not asked for: the rest of the way to `scaled`, the window of it, and the ground around. */
function enlarged(pixels: Uint8Array, from: Size, { scaled, window, border }: Placement, spec: ImageSpec): Uint8Array {
  const channels = spec.channels === 'GRAY' ? 1 : 3;
  const across = { from: from.width, to: scaled.width, start: window.left, count: window.width };
  const down = { from: from.height, to: scaled.height, start: window.top, count: window.height };
  const picture = enlarge(pixels, channels, across, down, spec.interpolation);
  const [height, width] = spec.size;
  if (window.width === width && window.height === height) return picture;
  const frame = new Uint8Array(height * width * channels).fill(spec.pad);
  const row = window.width * channels;
  for (let y = 0; y < window.height; y++)
    frame.set(picture.subarray(y * row, (y + 1) * row), ((border.top + y) * width + border.left) * channels);
  return frame;
}

function inChannels(data: Uint8Array, found: number, spec: ImageSpec, file: string): Uint8Array {
  const channels = spec.channels === 'GRAY' ? 1 : 3;
  if (found === channels) return data;
  if (found === 1) return grayToColour(data, channels);
  if (channels === 1 && found === 3) return luma(data);
  throw new UserError('dataset-image', `${file} decodes to ${found} channels; ${channels} are needed.`);
}

interface Size {
  readonly width: number;
  readonly height: number;
}

interface Placement {
  /** The whole picture is brought to this. */
  readonly scaled: Size;
  /** Of which this part is taken. */
  readonly window: Size & { readonly left: number; readonly top: number };
  /** And laid here. */
  readonly border: { readonly left: number; readonly top: number };
}

/** As torchvision and transformers do it: the longer side is cut down to whole pixels. */
function byShorterSide({ width, height }: Size, side: number): Size {
  return width < height
    ? { width: side, height: Math.floor((side * height) / width) }
    : { width: Math.floor((side * width) / height), height: side };
}

function placement(picture: Size, spec: ImageSpec, file: string): Placement {
  const [height, width] = spec.size;
  const whole = { left: 0, top: 0 };
  const by = (factor: number): Size => ({
    width: Math.max(1, Math.round(picture.width * factor)),
    height: Math.max(1, Math.round(picture.height * factor)),
  });
  if (spec.crop === 'letterbox') {
    const scaled = by(Math.min(width / picture.width, height / picture.height));
    const middle = { left: Math.floor((width - scaled.width) / 2), top: Math.floor((height - scaled.height) / 2) };
    return { scaled, window: { ...scaled, ...whole }, border: spec.anchor === 'center' ? middle : whole };
  }
  if (spec.resize === undefined && spec.crop === 'none') {
    const scaled = { width, height };
    return { scaled, window: { ...scaled, ...whole }, border: whole };
  }
  const scaled =
    spec.resize === undefined
      ? by(Math.max(width / picture.width, height / picture.height))
      : byShorterSide(picture, spec.resize);
  if (scaled.width < width || scaled.height < height) {
    throw new UserError(
      'dataset-format',
      `"resize" ${spec.resize} leaves ${scaled.height}×${scaled.width} of ${file}, less than "size" ${height}×${width}.`,
    );
  }
  const window = {
    width,
    height,
    left: Math.floor((scaled.width - width) / 2),
    top: Math.floor((scaled.height - height) / 2),
  };
  return { scaled, window, border: whole };
}

/** Grey as Pillow's "L" mode and OpenCV have it (ITU-R BT.601), which models are trained on; libvips' own is that of linear light, far brighter for red and green. */
function luma(data: Uint8Array): Uint8Array {
  const grey = new Uint8Array(data.length / 3);
  for (let at = 0, from = 0; at < grey.length; at++, from += 3)
    grey[at] =
      ((data[from] ?? 0) * 19_595 + (data[from + 1] ?? 0) * 38_470 + (data[from + 2] ?? 0) * 7471 + 0x8000) >> 16;
  return grey;
}

function grayToColour(gray: Uint8Array, channels: number): Uint8Array {
  const colour = new Uint8Array(gray.length * channels);
  for (let at = 0; at < colour.length; at++) colour[at] = gray[Math.floor(at / channels)] as number;
  return colour;
}
