/** Puts labels beside points so that they cover each other as little as possible. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface LabelPlace {
  /** Where the text's anchor stands; `y` is the top of the box. */
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'middle' | 'end';
}

interface Size {
  readonly width: number;
  readonly height: number;
}

export interface LabelledPoint {
  readonly x: number;
  readonly y: number;
  /** Size of the text. */
  readonly label: Size;
  /** Room that the symbol takes around the point. */
  readonly gap: number;
}

/** The first labels always stand; a later one that more than this share of would be covered is left out: of text over text, a fourth of it. */
const always = 2;
const mostCovered = 0.1;

/**
 * Greedy, in the order given: the first of eight places around the point with the least overlap wins. Where there is no room, a
 * label is left out: of forty variants the names would cover each other.
 * @param obstacles boxes that labels should not cover (points, whiskers)
 */
export function placeLabels(
  points: readonly LabelledPoint[],
  obstacles: readonly Box[],
  frame: Box,
): (LabelPlace | undefined)[] {
  const texts: Box[] = [];
  return points.map((point, index) => {
    const { label } = point;
    const ranked = candidates(point)
      .map((place) => ({ place, cost: cost(boxOf(place, label), obstacles, texts, frame) }))
      .sort((a, b) => a.cost - b.cost);
    const { place, cost: least } = ranked[0] as (typeof ranked)[number];
    if (index >= always && least > mostCovered * label.width * label.height) return undefined;
    texts.push(boxOf(place, label));
    return place;
  });
}

function candidates({ x, y, gap, label: { height } }: LabelledPoint): LabelPlace[] {
  const middle = y - height / 2;
  const above = y - height - gap;
  const below = y + gap;
  return [
    { x: x + gap, y: middle, anchor: 'start' },
    { x: x - gap, y: middle, anchor: 'end' },
    { x, y: above, anchor: 'middle' },
    { x, y: below, anchor: 'middle' },
    { x: x + gap, y: above, anchor: 'start' },
    { x: x + gap, y: below, anchor: 'start' },
    { x: x - gap, y: above, anchor: 'end' },
    { x: x - gap, y: below, anchor: 'end' },
  ];
}

function boxOf({ x, y, anchor }: LabelPlace, { width, height }: Size): Box {
  const shift = { start: 0, middle: width / 2, end: width }[anchor];
  return { x: x - shift, y, width, height };
}

function cost(box: Box, obstacles: readonly Box[], texts: readonly Box[], frame: Box): number {
  const area = box.width * box.height;
  const covered = (by: readonly Box[]): number => by.reduce((sum, other) => sum + overlap(box, other), 0);
  // Text over a point can be read, text over text or cut off by the frame cannot.
  return covered(obstacles) + 4 * (covered(texts) + area - overlap(box, frame));
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return width > 0 && height > 0 ? width * height : 0;
}
