import { describe, expect, test } from 'vitest';
import { enlarge, type Interpolation } from '../../src/kernels/enlarge.ts';

const picture = Uint8Array.of(10, 200, 30, 250, 0, 90);
const whole = (from: number, to: number) => ({ from, to, start: 0, count: to });

describe('enlarge', () => {
  test.each<[Interpolation, number[]]>([
    ['nearest', [10, 10, 200, 30, 30, 250, 250, 0, 90, 90, 250, 250, 0, 90, 90]],
    ['bilinear', [10, 86, 200, 98, 30, 130, 118, 100, 76, 60, 250, 150, 0, 54, 90]],
    ['bicubic', [0, 79, 213, 101, 12, 128, 121, 100, 73, 57, 255, 163, 0, 44, 102]],
    ['lanczos', [0, 81, 225, 114, 0, 128, 125, 100, 70, 57, 255, 168, 0, 26, 121]],
  ])('%s gives the bytes of Pillow 12', (name, expected) => {
    expect([...enlarge(picture, 1, whole(3, 5), whole(2, 3), name)]).toEqual(expected);
  });

  test('a window is that part of the whole, channels keep apart', () => {
    const colour = Uint8Array.from({ length: 4 * 5 * 3 }, (_, at) => (at * 37) % 256);
    const all = enlarge(colour, 3, whole(4, 9), whole(5, 11), 'bicubic');
    const part = enlarge(
      colour,
      3,
      { from: 4, to: 9, start: 2, count: 5 },
      { from: 5, to: 11, start: 3, count: 4 },
      'bicubic',
    );
    const expected = [3, 4, 5, 6].flatMap((y) => [...all.subarray((y * 9 + 2) * 3, (y * 9 + 7) * 3)]);
    expect([...part]).toEqual(expected);
    const green = enlarge(
      colour.filter((_, at) => at % 3 === 1),
      1,
      whole(4, 9),
      whole(5, 11),
      'bicubic',
    );
    expect([...all.filter((_, at) => at % 3 === 1)]).toEqual([...green]);
  });
});
