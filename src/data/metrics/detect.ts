import type { TrueBox } from '../truths.ts';
import { type FoundBox, foundBoxes, overlap, parseBoxSettings } from './boxes.ts';
import { type Metric, type MetricKind, missing, type Weights } from './metric.ts';

/** What a picture says of one class: its detections best first, and how each fares at each overlap. */
interface ClassHits {
  readonly class: number;
  readonly scores: readonly number[];
  /** By overlap, then detection: found a box (1), did not (0), or found what does not count (2). */
  readonly fate: Uint8Array;
  /** Boxes that should be found. */
  readonly wanted: number;
}

/** NumPy's `linspace(0.5, 0.95, 10)` to the last bit, as the recalls below are `linspace(0, 1, 101)`: 7 of 20 boxes do not reach its 0.35. */
const cocoOverlaps = Array.from({ length: 10 }, (_, at) => (at === 9 ? 0.95 : 0.5 + at * ((0.95 - 0.5) / 9)));

/**
 * Mean average precision as COCO has it: over classes that occur and overlaps 0.5, 0.55, … 0.95 (`iou` names others), the mean of the precision at
 * recalls 0, 0.01, … 1, where precision at a recall is the best at any recall from there on. Detections claim the free box that they overlap
 * most, best score first; at most 100 of a class in a picture; crowds count neither way. Truths come from "boxes" of dataset.json.
 */
export const meanAveragePrecision: MetricKind = {
  id: 'map',
  summary: 'mean average precision of boxes, overlaps 0.5 to 0.95 (COCO)',
  make(fields): Metric<readonly ClassHits[]> {
    const settings = parseBoxSettings(fields);
    const overlaps = fields.numbers('iou') ?? cocoOverlaps;
    const outputs = [settings.boxes, settings.scores, settings.classes].filter((name) => name !== undefined);
    const meanOf = (values: Float64Array): number => {
      const known = values.filter((value) => !Number.isNaN(value));
      return known.reduce((sum, value) => sum + value, 0) / known.length;
    };
    return {
      id: 'map',
      summary: meanAveragePrecision.summary,
      higherIsBetter: true,
      needs: 'truths',
      blind: 0,
      outputs,
      score(batch) {
        const found = foundBoxes(batch, settings);
        return found.map((boxes, sample) => {
          const truth = batch.truths?.[sample];
          if (!Array.isArray(truth)) throw missing('map', 'boxes');
          return matchAll(boxes, truth as readonly TrueBox[], overlaps);
        });
      },
      sample: (record) => meanOf(averagePrecisions([record], overlaps.length).values()),
      fold(records) {
        const { values } = averagePrecisions(records, overlaps.length);
        return (weights) => meanOf(values(weights));
      },
      classes: (records) => averagePrecisions(records, overlaps.length),
      cost: (records) =>
        overlaps.length *
        records.reduce((sum, hits) => sum + hits.reduce((all, { scores }) => all + scores.length, 0), 0),
    };
  },
};

function matchAll(found: readonly FoundBox[], truth: readonly TrueBox[], overlaps: readonly number[]): ClassHits[] {
  const ids = new Set([...found.map((one) => one.class), ...truth.map((one) => one.class)]);
  return [...ids].map((id) => {
    const own = found.filter((one) => one.class === id);
    // Crowds last: a box proper is preferred to them.
    const boxes = truth.filter((one) => one.class === id).sort((a, b) => Number(a.isCrowd) - Number(b.isCrowd));
    const table = own.map(({ box }) => boxes.map((other) => overlap(box, other.box, other.isCrowd)));
    const fate = new Uint8Array(overlaps.length * own.length);
    for (const [level, least] of overlaps.entries()) claim(table, boxes, least, fate.subarray(level * own.length));
    return {
      class: id,
      scores: own.map(({ score }) => score),
      fate,
      wanted: boxes.filter(({ isCrowd }) => !isCrowd).length,
    };
  });
}

function claim(table: readonly number[][], boxes: readonly TrueBox[], least: number, fate: Uint8Array): void {
  const taken = new Set<number>();
  for (const [at, row] of table.entries()) {
    let best = Math.min(least, 1 - 1e-10);
    let match = -1;
    for (const [place, share] of row.entries()) {
      const isCrowd = boxes[place]?.isCrowd ?? false;
      if (taken.has(place) && !isCrowd) continue;
      if (match >= 0 && isCrowd && !boxes[match]?.isCrowd) break;
      if (share < best) continue;
      best = share;
      match = place;
    }
    if (match < 0) continue;
    taken.add(match);
    fate[at] = boxes[match]?.isCrowd ? 2 : 1;
  }
}

/** Average precision of each class that has boxes, with each picture counted as often as it was drawn. */
function averagePrecisions(records: readonly (readonly ClassHits[])[], levels: number) {
  const wanted = new Map<number, number>();
  for (const { class: id, wanted: count } of records.flat()) wanted.set(id, (wanted.get(id) ?? 0) + count);
  const ids = [...wanted.keys()].filter((id) => (wanted.get(id) ?? 0) > 0).sort((a, b) => a - b);
  const classes = ids.map((id) => classFigure(records, id, levels));
  return {
    ids,
    counts: ids.map((id) => wanted.get(id) ?? 0),
    values: (weights?: Weights) => Float64Array.from(classes, (figure) => figure(weights)),
  };
}

function classFigure(
  records: readonly (readonly ClassHits[])[],
  id: number,
  levels: number,
): (weights: Weights) => number {
  const own = records.map((hits) => hits.find((one) => one.class === id));
  const all = own.flatMap((hits, picture) => (hits?.scores ?? []).map((score, at) => ({ score, picture, at })));
  all.sort((a, b) => b.score - a.score);
  const pictures = Uint32Array.from(all, ({ picture }) => picture);
  const fates = Array.from({ length: levels }, (_, level) =>
    Uint8Array.from(all, ({ picture, at }) => {
      const hits = own[picture];
      return hits?.fate[level * hits.scores.length + at] ?? 0;
    }),
  );
  return (weights) => {
    let wanted = 0;
    for (const [picture, hits] of own.entries()) wanted += (weights?.[picture] ?? 1) * (hits?.wanted ?? 0);
    if (wanted === 0) return Number.NaN;
    let sum = 0;
    for (const fate of fates) sum += averagePrecision(fate, pictures, wanted, weights);
    return sum / fates.length;
  };
}

function averagePrecision(fate: Uint8Array, pictures: Uint32Array, wanted: number, weights: Weights): number {
  const precision: number[] = [];
  const recall: number[] = [];
  let [hits, misses] = [0, 0];
  for (let at = 0; at < fate.length; at++) {
    if (fate[at] === 2) continue;
    for (let times = weights?.[pictures[at] as number] ?? 1; times > 0; times--) {
      if (fate[at] === 1) hits++;
      else misses++;
      precision.push(hits / (hits + misses));
      recall.push(hits / wanted);
    }
  }
  for (let at = precision.length - 2; at >= 0; at--)
    precision[at] = Math.max(precision[at] as number, precision[at + 1] as number);
  let sum = 0;
  for (let step = 0, at = 0; step <= 100; step++) {
    while (at < recall.length && (recall[at] as number) < step * 0.01) at++;
    sum += precision[at] ?? 0;
  }
  return sum / 101;
}
