import { describe, expect, it } from 'vitest';
import { barList } from '../../reports/html/charts/bars.ts';
import { distributions } from '../../reports/html/charts/distribution.ts';
import { type LabelledPoint, placeLabels } from '../../reports/html/charts/labels.ts';
import { frontOf, lossChart, paretoChart } from '../../reports/html/charts/pareto.ts';
import { lossAxis, ratioScale, tickLabel, timeAxis } from '../../reports/html/charts/scale.ts';
import type { ScatterPoint } from '../../reports/html/charts/scatter.ts';
import { layerStrip } from '../../reports/html/charts/strip.ts';
import { timed } from './sample-evidence.ts';

const point = (name: string, x: number, y: number, part: Partial<ScatterPoint> = {}): ScatterPoint => ({
  name,
  kind: 'accepted',
  x,
  y,
  interval: [y, y],
  note: '',
  tip: [name],
  href: 'v-0',
  ...part,
});

describe('ratioScale', () => {
  it('leaves room for the labels on a phone', () => {
    const { ticks, at } = ratioScale([1, 0.65], 0, 180);
    const gaps = ticks.slice(1).map((tick, index) => at(tick) - at(ticks[index] as number));
    // "120 %" is about 30 pixels wide.
    expect(Math.min(...gaps)).toBeGreaterThan(30);
  });

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
    const boxes = placeLabels(points, obstacles, frame).flatMap((place) =>
      place ? [{ left: place.x - { start: 0, middle: 30, end: 60 }[place.anchor], top: place.y }] : [],
    );
    expect(boxes).toHaveLength(3);
    for (const [index, a] of boxes.entries()) {
      for (const b of boxes.slice(index + 1)) {
        expect(Math.abs(a.left - b.left) >= 60 || Math.abs(a.top - b.top) >= 14).toBe(true);
      }
    }
  });

  it('puts no text over text in a crowd of the size of a phone: leaves names out instead', () => {
    const phone = { x: 40, y: 30, width: 270, height: 260 };
    const size = { width: 80, height: 28 };
    for (let run = 0; run < 40; run++) {
      const crowd = Array.from({ length: 9 }, (_, index) => ({
        ...at(60 + ((run * 37 + index * 61) % 230), 50 + ((run * 53 + index * 29) % 90)),
        label: size,
      }));
      const obstacles = crowd.map(({ x, y }) => ({ x: x - 8, y: y - 8, width: 16, height: 16 }));
      const boxes = placeLabels(crowd, obstacles, phone)
        .slice(2)
        .flatMap((place) =>
          place ? [{ left: place.x - { start: 0, middle: 40, end: 80 }[place.anchor], top: place.y }] : [],
        );
      expect(boxes.length).toBeGreaterThan(0);
      for (const [index, a] of boxes.entries())
        for (const b of boxes.slice(index + 1)) {
          const [wide, high] = [80 - Math.abs(a.left - b.left), 28 - Math.abs(a.top - b.top)];
          expect(Math.max(0, wide) * Math.max(0, high)).toBeLessThanOrEqual(0.025 * size.width * size.height);
        }
    }
  });

  it('leaves out a label that would be covered', () => {
    const crowd = Array.from({ length: 40 }, (_, index) => at(100 + (index % 3), 100 + (index % 5)));
    const places = placeLabels(crowd, [], frame);
    expect(places.slice(0, 2).every((place) => place !== undefined)).toBe(true);
    expect(places.filter((place) => place !== undefined).length).toBeLessThan(14);
  });
});

describe('lossAxis', () => {
  it('is linear up to the limit, and keeps apart what lies near it beside a variant that lost everything', () => {
    const { at, ticks } = lossAxis([0, 0.005, 0.9, -0.002], 0.01, [300, 0], (loss) => String(loss));
    expect(at(0) - at(0.01)).toBeGreaterThan(35);
    expect(at(0.9)).toBeGreaterThan(0);
    expect(at(0.9)).toBeLessThan(at(0.01));
    expect(at(-0.002)).toBeGreaterThan(at(0));
    expect(ticks.map((tick) => tick.at)).toEqual([0, 0.01, 0.03, 0.1, 0.3]);
    expect(ticks.filter((tick) => tick.strong).map((tick) => tick.at)).toEqual([0.01]);
  });

  it('stays finite where nothing was lost and nothing is allowed', () => {
    const { at, ticks } = lossAxis([0], 0, [300, 0], String);
    expect(Number.isFinite(at(0))).toBe(true);
    expect(ticks.length).toBeGreaterThan(0);
    const chart = lossChart([point('a', 0.5, 0), point('b', 0.4, 0.5)], { metric: 'top1', maxDrop: 0, label: String });
    expect(chart.text).not.toMatch(/NaN|Infinity|undefined/);
  });
});

describe('timeAxis', () => {
  it.each([[[0.1, 0.2]], [[1, 100]], [[5, 5]], [[0.0007, 90_000]], [[3, 3.2, 3.4]]])(
    'has ticks inside for %j',
    (times) => {
      const { at, ticks } = timeAxis(times, String);
      expect(ticks.length).toBeGreaterThanOrEqual(1);
      expect(ticks.length).toBeLessThanOrEqual(8);
      for (const tick of ticks) expect(at(tick.at)).toSatisfy((place: number) => place >= 0 && place <= 100);
      for (const time of times) expect(at(time)).toSatisfy((place: number) => place >= 0 && place <= 100);
    },
  );

  it('has none where no time was measured', () => {
    expect(timeAxis([0, Number.NaN], String).ticks).toEqual([]);
  });
});

describe('distributions', () => {
  it('draws the density where the quantiles are known, the marks in any case', () => {
    const { distribution: _, ...plain } = timed(2, 1, 0);
    const text = distributions('x', [
      { name: 'full', kind: 'base', latency: timed(1, 1, 0) },
      { name: 'plain', kind: 'accepted', latency: plain },
    ]).text;
    expect(text.match(/class="density"/g)).toHaveLength(1);
    expect(text.match(/class="mark median"/g)).toHaveLength(2);
    expect(text).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('stays finite for a clock that knows one time only', () => {
    const flat = { ...timed(1, 1, 0), distribution: Array.from({ length: 41 }, () => 1) };
    expect(distributions('x', [{ name: 'a', kind: 'base', latency: flat }]).text).not.toMatch(/NaN|Infinity/);
    const zero = { ...flat, p50: 0, p90: 0, p99: 0, distribution: flat.distribution.map(() => 0) };
    expect(distributions('x', [{ name: 'a', kind: 'base', latency: zero }]).text).not.toMatch(/NaN|Infinity/);
  });
});

describe('layerStrip', () => {
  it('shows the worst of each group where layers are many', () => {
    const layers = Array.from({ length: 5000 }, (_, at) => ({
      node: `n${at}`,
      op: 'Conv',
      sqnrDb: at === 2500 ? 3 : 40,
    }));
    const text = layerStrip(layers).text;
    expect(text.length).toBeLessThan(20_000);
    // 96 pixels for 0 to 40 dB, from below: 3 dB lies at 92 − 3·86/40.
    expect(text).toContain('85.55');
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
    expect(open).toContain('aria-label="a (accepted)"');
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
