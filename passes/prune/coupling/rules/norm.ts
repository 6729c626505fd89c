import type { Site } from '../site.ts';
import { axisOf, range } from './axes.ts';
import { alignRight } from './elementwise.ts';

/** Statistics over the axes from `axis` on: without a channel they would be others. */
export function layerNorm(site: Site): void {
  normalized(site, site.node.int('axis', -1), [1, 2]);
}

/** com.microsoft.SkipLayerNormalization and its like: x + skip (+ bias), normalized over the last axis; output 3 is the sum. */
export function skipNorm(site: Site): void {
  const x = site.input(0);
  const sum = site.output(3);
  for (const slot of site.inputs) if (x) alignRight(site, slot, x);
  site.sameShape(x, sum);
  normalized(site, -1, []);
}

function normalized(site: Site, axis: number, gains: readonly number[]): void {
  const [x, y] = [site.input(0), site.output()];
  const from = axisOf(axis, x);
  if (!x || !y || from === undefined) return;
  site.sameShape(x, y);
  for (const index of gains) {
    const gain = site.input(index);
    if (gain) alignRight(site, gain, y);
  }
  for (const own of x.axes.slice(from)) site.block(own, `${site.node} takes mean or variance over all of it`);
  for (const index of [1, 2]) {
    const statistics = site.output(index);
    if (statistics) for (const own of statistics.axes) if (own.index < from) site.same(own, x.axes[own.index]);
  }
}

/** Softmax and its like: what one place gives depends on all others. Before opset 13 over all axes from `axis` on. */
export function softmax(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  const old = site.opset < 13;
  const from = axisOf(node.int('axis', old ? 1 : -1), x);
  if (!x || !y || from === undefined) return;
  site.sameShape(x, y);
  for (const axis of old ? x.axes.slice(from) : [x.axes[from]])
    site.block(axis, `${node} weighs all of its places against each other`);
}

/** CumSum, LpNormalization and others that work along one axis. */
export function alongAxis(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  const given = node.is('CumSum') ? site.numbers(1)?.[0] : node.int('axis', -1);
  if (!x || !y) return;
  site.sameShape(x, y);
  const at = given === undefined ? undefined : axisOf(given, x);
  for (const axis of at === undefined ? x.axes : [x.axes[at]]) site.block(axis, `${node} works along it`);
}

/** ArgMax, TopK: places are named by number. */
export function picks(site: Site): void {
  const { node } = site;
  const x = site.input(0);
  const along = axisOf(node.int('axis', node.is('TopK') ? -1 : 0), x);
  if (!x || along === undefined) return;
  const keeps = node.is('TopK') || node.int('keepdims', 1) !== 0;
  site.block(x.axes[along], `${node} picks places in it by number`);
  for (const y of site.outputs) {
    for (const axis of x.axes) {
      if (axis.index !== along) site.same(axis, y.axes[keeps || axis.index < along ? axis.index : axis.index - 1]);
      else if (keeps) site.fix(y.axes[along]);
    }
  }
}

/** Channels summed over are gone behind it: one that is missing counts as zero. Means and extremes would be others. */
const sums = new Set(['ReduceSum', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare']);

export function reduce(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  const given = site.list('axes', 1);
  const none = given === 'absent' || (Array.isArray(given) && given.length === 0);
  if (none && node.int('noop_with_empty_axes', 0) !== 0) {
    site.sameShape(x, y);
    return;
  }
  if (!none && !Array.isArray(given)) {
    site.blockAll(`${node} reduces axes that are not known`);
    return;
  }
  const reduced = new Set(none ? range(x.axes.length) : given.map((axis) => axisOf(axis, x)));
  const keeps = node.int('keepdims', 1) !== 0;
  let at = 0;
  for (const axis of x.axes) {
    if (!reduced.has(axis.index)) site.same(axis, y.axes[at++]);
    else {
      if (sums.has(node.op)) site.free(axis);
      else site.block(axis, `${node} takes mean or extremes over all of it`);
      if (keeps) at++;
    }
  }
}
