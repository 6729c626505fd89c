import { UserError } from '../../errors.ts';
import { type Numbers, numbersOf } from '../cast.ts';
import type { Fields } from '../json-fields.ts';
import type { Geometry, MetricBatch } from './metric.ts';

/** A box that the model claims, in pixels of the picture as it is stored. */
export interface FoundBox {
  readonly class: number;
  readonly score: number;
  readonly box: Box;
}

export type Box = readonly [left: number, top: number, right: number, bottom: number];

/** How outputs are to be read as boxes. */
interface BoxSettings {
  /** Output of boxes and of scores; undefined: the one that the metric judges. */
  readonly boxes: string | undefined;
  readonly scores: string | undefined;
  /** Output of class numbers, where scores has one number a box. */
  readonly classes: string | undefined;
  /** [N, boxes, numbers], or [N, numbers, boxes]. */
  readonly layout: 'rows' | 'columns';
  readonly box: 'xyxy' | 'xywh' | 'cxcywh' | 'yxyx';
  /** Coordinates are shares of the fed picture. */
  readonly normalized: boolean;
  /** Numbers behind the four of the box, in one output: an objectness then scores of classes, scores alone, or a score and a class. */
  readonly tail: 'objectness' | 'scores' | 'score-class';
  readonly activation: 'none' | 'sigmoid' | 'softmax';
  /** Which score is that of nothing being there. */
  readonly background: 'none' | 'first' | 'last';
  readonly minScore: number;
  /** Overlap from which on a weaker box of the same class is dropped; 1: none is. */
  readonly nms: number;
  readonly most: number;
}

/**
 * Ready-made settings. yolov5 (v3, v5, v7, X after its decoding): [N, boxes, cx cy w h objectness scores…]. yolov8 (v8 to v12): [N, cx cy w h scores…,
 * boxes]. end-to-end (YOLOv10, YOLO26, exports with NMS in them): [N, boxes, left top right bottom score class]. ssd: boxes and scores of classes
 * with a background in front. detr: boxes and logits with "no object" behind.
 */
const presets = {
  yolov5: { tail: 'objectness' },
  yolov8: { layout: 'columns' },
  'end-to-end': { box: 'xyxy', tail: 'score-class', nms: 1 },
  ssd: { box: 'xyxy', normalized: true, background: 'first' },
  detr: { normalized: true, activation: 'softmax', background: 'last', nms: 1 },
} as const satisfies Record<string, Partial<BoxSettings>>;

/** Thresholds as COCO's evaluations of YOLO have them: every box with a score worth the name, weaker twins dropped, 100 of a class in a picture. */
const usual: BoxSettings = {
  boxes: undefined,
  scores: undefined,
  classes: undefined,
  layout: 'rows',
  box: 'cxcywh',
  normalized: false,
  tail: 'scores',
  activation: 'none',
  background: 'none',
  minScore: 0.001,
  nms: 0.65,
  most: 100,
};

export function parseBoxSettings(fields: Fields): BoxSettings {
  const decode = fields.choice('decode', Object.keys(presets) as (keyof typeof presets)[], 'yolov8');
  const preset: BoxSettings = { ...usual, ...presets[decode] };
  const share = (key: 'minScore' | 'nms'): number => fields.number(key) ?? preset[key];
  return {
    boxes: fields.text('boxes'),
    scores: fields.text('scores'),
    classes: fields.text('classes'),
    layout: fields.choice('layout', ['rows', 'columns'], preset.layout),
    box: fields.choice('box', ['xyxy', 'xywh', 'cxcywh', 'yxyx'], preset.box),
    normalized: fields.has('normalized') ? fields.flag('normalized') : preset.normalized,
    tail: fields.choice('tail', ['objectness', 'scores', 'score-class'], preset.tail),
    activation: fields.choice('activation', ['none', 'sigmoid', 'softmax'], preset.activation),
    background: fields.choice('background', ['none', 'first', 'last'], preset.background),
    minScore: share('minScore'),
    nms: share('nms'),
    most: fields.count('maxDetections') ?? preset.most,
  };
}

/** The boxes of each picture of a batch, best first. @throws UserError when the outputs do not have the shape that the settings say */
export function foundBoxes(batch: MetricBatch, settings: BoxSettings): FoundBox[][] {
  const read = reader(batch, settings);
  return Array.from({ length: batch.size }, (_, sample) => {
    const geometry = batch.geometry?.[sample];
    if (!geometry)
      throw new UserError(
        'metric-data',
        'map needs samples that are pictures ("images" in dataset.json), to bring boxes to their size.',
      );
    const found = read(sample)
      .filter(({ score }) => score >= settings.minScore)
      .sort((a, b) => b.score - a.score)
      .map((one) => ({ ...one, box: toPicture(corners(one.box, settings.box), settings, geometry) }));
    return suppress(found, settings.nms, settings.most);
  });
}

interface RawBox {
  readonly class: number;
  readonly score: number;
  readonly box: readonly [number, number, number, number];
}

/** An output as rows of numbers for each sample. */
interface RowView {
  readonly rows: number;
  readonly width: number;
  readonly at: (sample: number, row: number, column: number) => number;
}

function reader(batch: MetricBatch, settings: BoxSettings): (sample: number) => RawBox[] {
  const view = (name: string | undefined, layout: 'rows' | 'columns'): RowView => rowView(batch, name, layout);
  const boxes = view(settings.boxes, settings.layout);
  const scores = settings.scores === undefined ? undefined : view(settings.scores, settings.layout);
  const classes = settings.classes === undefined ? undefined : view(settings.classes, settings.layout);
  const first = scores ? 0 : settings.tail === 'objectness' ? 5 : 4;
  const source = scores ?? boxes;
  const count = source.width - first;
  if (boxes.width < 4 || count < 1 || source.rows !== boxes.rows)
    throw new UserError(
      'metric-output',
      `map: the outputs hold ${boxes.rows} boxes of ${boxes.width} numbers${scores ? ` and ${scores.rows} rows of ${scores.width} scores` : ''}, which do not fit the settings ("decode", "layout", "boxes", "scores").`,
    );
  const skipped = settings.background === 'first' ? 1 : 0;
  const kept = count - (settings.background === 'none' ? 0 : 1);
  return (sample) =>
    Array.from({ length: boxes.rows }, (_, row): RawBox => {
      const box = [0, 1, 2, 3].map((column) => boxes.at(sample, row, column)) as [number, number, number, number];
      if (!scores && settings.tail === 'score-class')
        return { box, score: boxes.at(sample, row, 4), class: boxes.at(sample, row, 5) };
      if (classes) return { box, score: source.at(sample, row, first), class: classes.at(sample, row, 0) };
      const raw = Float64Array.from({ length: count }, (_, column) => source.at(sample, row, first + column));
      const active = activate(raw, settings.activation);
      let best = skipped;
      for (let at = skipped; at < skipped + kept; at++)
        if ((active[at] as number) > (active[best] as number)) best = at;
      const objectness = !scores && settings.tail === 'objectness' ? boxes.at(sample, row, 4) : 1;
      return { box, score: (active[best] as number) * objectness, class: best - skipped };
    });
}

function rowView(
  { outputs, output, size }: MetricBatch,
  name: string | undefined,
  layout: 'rows' | 'columns',
): RowView {
  const tensor = name === undefined ? output : outputs?.get(name);
  if (!tensor) throw new UserError('metric-output', `map: the model gave no output "${name}".`);
  const [first = 1, ...inner] = tensor.shape;
  const dims = inner.length === 1 ? [...inner, 1] : inner;
  const [a = 0, b = 1] = dims.filter((extent, at) => extent !== 1 || at >= dims.length - 2).slice(-2);
  if (first < size)
    throw new UserError(
      'metric-output',
      `map: the output [${tensor.shape.join(', ')}] has no row for each of ${size} pictures.`,
    );
  const values: Numbers = numbersOf(tensor);
  const [rows, width] = layout === 'rows' || inner.length === 1 ? [a, b] : [b, a];
  const at =
    layout === 'rows' || inner.length === 1
      ? (sample: number, row: number, column: number) => values[(sample * rows + row) * width + column] as number
      : (sample: number, row: number, column: number) => values[(sample * width + column) * rows + row] as number;
  return { rows, width, at };
}

function activate(raw: Float64Array, kind: BoxSettings['activation']): Float64Array {
  if (kind === 'none') return raw;
  if (kind === 'sigmoid') return raw.map((value) => 1 / (1 + Math.exp(-value)));
  const high = Math.max(...raw);
  const powers = raw.map((value) => Math.exp(value - high));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function corners([a, b, c, d]: RawBox['box'], kind: BoxSettings['box']): Box {
  switch (kind) {
    case 'xyxy':
      return [a, b, c, d];
    case 'yxyx':
      return [b, a, d, c];
    case 'xywh':
      return [a, b, a + c, b + d];
    default:
      return [a - c / 2, b - d / 2, a + c / 2, b + d / 2];
  }
}

/** From the fed picture back to the stored one. */
function toPicture([left, top, right, bottom]: Box, { normalized }: BoxSettings, picture: Geometry): Box {
  const [width, height] = normalized ? [picture.fedWidth, picture.fedHeight] : [1, 1];
  const x = (value: number): number => (value * width - picture.left) / picture.scaleX;
  const y = (value: number): number => (value * height - picture.top) / picture.scaleY;
  return [x(left), y(top), x(right), y(bottom)];
}

/** Drops boxes that overlap a better one of their class by more than `limit`, and of each class those behind the first `most`. */
function suppress(sorted: readonly FoundBox[], limit: number, most: number): FoundBox[] {
  const kept = new Map<number, FoundBox[]>();
  return sorted.filter((one) => {
    const better = kept.get(one.class) ?? [];
    kept.set(one.class, better);
    if (better.length >= most || (limit < 1 && better.some((other) => overlap(other.box, one.box) > limit)))
      return false;
    better.push(one);
    return true;
  });
}

/** Intersection over union; of a crowd, intersection over the first box. */
export function overlap(a: Box, b: Box, isCrowd = false): number {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  const first = (a[2] - a[0]) * (a[3] - a[1]);
  return both / (isCrowd ? first : first + (b[2] - b[0]) * (b[3] - b[1]) - both);
}
