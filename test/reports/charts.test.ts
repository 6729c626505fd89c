import { describe, expect, it } from 'vitest';
import { barList } from '../../reports/html/charts/bars.ts';
import { type LabelledPoint, placeLabels } from '../../reports/html/charts/labels.ts';
import { frontOf, type ParetoPoint, paretoChart } from '../../reports/html/charts/pareto.ts';
import { ratioScale, tickLabel } from '../../reports/html/charts/scale.ts';

const point = (name: string, size: number, latency: number, part: Partial<ParetoPoint> = {}): ParetoPoint => ({
  name,
  kind: 'accepted',
  size,
  latency,
  interval: [latency, latency],
  note: '',
  tip: name,
  ...part,
});

describe('ratioScale', () => {
  it('puts half and double equally far from 1', () => {
    const { at } = ratioScale([0.5, 2], 0, 100);
    expect(at(1)).toBeCloseTo(50, 10);
    expect(at(2) - at(1)).toBeCloseTo(at(1) - at(0.5), 10);
  });

  it('runs downwards where `to` is smaller, and always shows 1', () => {
    const { at } = ratioScale([0.1, 0.2], 100, 0);
    expect(at(0.1)).toBeGreaterThan(at(0.2));
    expect(at(1)).toBeGreaterThan(0);
  });

  it.each([[[0.98, 1.02]], [[0.7, 1.3]], [[0.25, 1.4]], [[0.01, 3]], [[1]], [[]], [[0]], [[1e-6, 1e6]]])(
    'has a handful of ticks for %j, 1 among them',
    (ratios) => {
      const { ticks, at } = ratioScale(ratios, 0, 400);
      expect(ticks.length).toBeGreaterThanOrEqual(3);
      expect(ticks.length).toBeLessThanOrEqual(22);
      expect(ticks).toContain(1);
      for (const tick of ticks) expect(at(tick)).toSatisfy((x: number) => x >= 0 && x <= 400);
    },
  );

  it('labels in percent', () => {
    expect([0.125, 1, 2, 0.015625].map(tickLabel)).toEqual(['12.5 %', '100 %', '200 %', '1.56 %']);
  });
});

describe('placeLabels', () => {
  const frame = { x: 0, y: 0, width: 300, height: 200 };
  const at = (x: number, y: number): LabelledPoint => ({ x, y, label: { width: 60, height: 14 }, gap: 9 });

  it('keeps labels inside the frame', () => {
    expect(placeLabels([at(295, 100)], [], frame)[0]?.anchor).toBe('end');
    expect(placeLabels([at(5, 100)], [], frame)[0]?.anchor).toBe('start');
  });

  it('does not put one label over another, or over a point', () => {
    const points = [at(100, 100), at(104, 102), at(96, 98)];
    const obstacles = points.map(({ x, y }) => ({ x: x - 6, y: y - 6, width: 12, height: 12 }));
    const boxes = placeLabels(points, obstacles, frame).map(({ x, y, anchor }) => ({
      left: x - { start: 0, middle: 30, end: 60 }[anchor],
      top: y,
    }));
    for (const [index, a] of boxes.entries()) {
      for (const b of boxes.slice(index + 1)) {
        expect(Math.abs(a.left - b.left) >= 60 || Math.abs(a.top - b.top) >= 14).toBe(true);
      }
    }
  });
});

describe('paretoChart', () => {
  it('keeps what passed and nothing beats on its front', () => {
    const points = [
      point('base', 1, 1, { kind: 'base' }),
      point('small', 0.2, 0.9),
      point('fast', 0.6, 0.4, { kind: 'recommended' }),
      point('worse', 0.7, 0.5),
      point('wrong', 0.1, 0.1, { kind: 'rejected' }),
    ];
    expect(frontOf(points).map((one) => one.name)).toEqual(['small', 'fast']);
    expect(paretoChart(points, 'cpu').text).toContain('class="front"');
    expect(paretoChart(points.slice(0, 2), 'cpu').text).not.toContain('class="front"');
  });

  it('draws whiskers only where the interval is open, and stays finite for degenerate figures', () => {
    const open = paretoChart([point('a', 0.5, 0.5, { interval: [0.4, 0.6] })], 'cpu').text;
    expect(open.match(/class="whisker"/g)).toHaveLength(2);
    const odd = paretoChart([point('zero', 0, 0), point('huge', 1e9, 1e9), point('base', 1, 1)], 'cpu').text;
    expect(odd).not.toMatch(/NaN|Infinity|undefined/);
    expect(odd).not.toContain('class="whisker"');
  });
});

describe('barList', () => {
  it('scales to the longest bar, up to four times base', () => {
    const bar = (name: string, ratio: number | null) =>
      ({ name, kind: 'accepted', ratio, value: '', detail: '' }) as const;
    const text = barList('x', [bar('a', 2), bar('b', 1), bar('c', null)]).text;
    expect([...text.matchAll(/class="fill" width="([^"]+)"/g)].map((match) => match[1])).toEqual(['100%', '50%']);
    expect(text).toContain('x1="50%" x2="50%"');
    expect(barList('x', [bar('a', 1000), bar('b', 1)]).text).toContain('class="fill" width="25%"');
  });
});
