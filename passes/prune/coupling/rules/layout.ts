import type { Axis } from '../book.ts';
import { overrideItems, setList, setVector } from '../rewire.ts';
import type { Site } from '../site.ts';
import { axisOf, range } from './axes.ts';
import { retarget } from './reshape.ts';

export function transpose(site: Site): void {
  const [x, y] = [site.input(0), site.output()];
  const rank = x?.axes.length ?? 0;
  const perm = site.node.ints('perm') ?? range(rank).reverse();
  for (const [at, from] of perm.entries()) site.same(x?.axes[from], y?.axes[at]);
}

export function concat(site: Site): void {
  const { node } = site;
  const y = site.output();
  const along = axisOf(node.int('axis', site.opset < 4 ? 1 : 0), y);
  if (!y || along === undefined) return;
  let at = 0;
  for (const x of site.inputs) {
    const axis = x.axes[along];
    for (const other of x.axes) if (other !== axis) site.same(other, y.axes[other.index]);
    if (!axis) continue;
    if (axis.extent === undefined || Number.isNaN(at)) {
      site.block(y.axes[along], `${node} joins parts whose extents are not known`);
      for (const input of site.inputs) site.block(input.axes[along], `${node} joins parts whose extents are not known`);
      at = Number.NaN;
      continue;
    }
    const positions = range(axis.extent);
    site.map(
      axis,
      y.axes[along] as Axis,
      positions,
      positions.map((p) => p + at),
    );
    at += axis.extent;
  }
}

export function split(site: Site): void {
  const { node } = site;
  const x = site.input(0);
  const along = axisOf(node.int('axis', 0), x);
  if (!x || along === undefined) return;
  const axis = x.axes[along] as Axis;
  const outs = node.outputs.map((_, index) => site.output(index));
  for (const y of outs)
    for (const other of y?.axes ?? []) if (other.index !== along) site.same(other, x.axes[other.index]);
  const sizes = sizesOf(site, axis, outs.length);
  if (!sizes) {
    site.block(axis, `${node} cuts it at places that are not known`);
    for (const y of outs) site.block(y?.axes[along], `${node} cuts it at places that are not known`);
    return;
  }
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0));
  for (const [i, y] of outs.entries()) {
    const own = y?.axes[along];
    const positions = range(sizes[i] as number);
    if (own)
      site.map(
        own,
        axis,
        positions,
        positions.map((p) => p + (starts[i] as number)),
      );
  }
  site.adjust((kept) => {
    const left = kept(axis);
    if (!left) return;
    const now = sizes.map((size, i) => {
      const start = starts[i] as number;
      return left.filter((p) => p >= start && p < start + size).length;
    });
    node.removeAttr('num_outputs');
    setList(node, 'split', 1, now, site.opset >= 13);
  });
}

function sizesOf(site: Site, axis: Axis, count: number): number[] | undefined {
  const given = site.list('split', 1);
  if (given !== 'absent') return given;
  if (axis.extent === undefined) return undefined;
  const size = Math.ceil(axis.extent / count);
  return range(count).map((i) => Math.max(0, Math.min(size, (axis.extent as number) - i * size)));
}

export function slice(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  const [starts, ends] = [site.list('starts', 1), site.list('ends', 2)];
  const given = site.list('axes', 3);
  const steps = site.list('steps', 4);
  const axes = given === 'absent' && Array.isArray(starts) ? range(starts.length) : given;
  const cut = new Set<number>();
  for (const [i, raw] of (Array.isArray(axes) ? axes : []).entries()) {
    const at = axisOf(raw, x);
    const axis = at === undefined ? undefined : x.axes[at];
    if (at === undefined || !axis) continue;
    const [start, end, step] = [valueAt(starts, i), valueAt(ends, i), steps === 'absent' ? 1 : valueAt(steps, i)];
    const positions = axis.extent === undefined ? undefined : picked(axis.extent, start, end, step);
    cut.add(at);
    const own = y.axes[at];
    if (!positions || !own) {
      if (positions?.length === 0) continue;
      site.block(axis, `${node} cuts it at places that are not known`);
      site.block(own, `${node} cuts it at places that are not known`);
    } else if (positions.length === axis.extent && step === 1) site.same(axis, own);
    else take(site, axis, own, positions, i, (step ?? 1) > 0);
  }
  for (const axis of x.axes) {
    if (cut.has(axis.index)) continue;
    if (!Array.isArray(axes)) {
      site.block(axis, `${node} cuts along axes that are not known`);
      site.block(y.axes[axis.index], `${node} cuts along axes that are not known`);
    } else site.same(axis, y.axes[axis.index]);
  }
}

const valueAt = (list: number[] | 'absent' | undefined, i: number): number | undefined =>
  Array.isArray(list) ? list[i] : undefined;

/** Positions that a slice takes; undefined where its bounds are not known. */
function picked(extent: number, start?: number, end?: number, step?: number): number[] | undefined {
  if (start === undefined || end === undefined || !step) return undefined;
  const bound = (value: number, low: number, high: number): number =>
    Math.max(low, Math.min(high, value < 0 ? value + extent : value));
  const from = step > 0 ? bound(start, 0, extent) : bound(start, 0, extent - 1);
  const to = step > 0 ? bound(end, 0, extent) : bound(end, -1, extent - 1);
  const positions: number[] = [];
  for (let p = from; step > 0 ? p < to : p > to; p += step) positions.push(p);
  return positions;
}

/** A stretch stays a stretch; what was taken in steps is named position by position, with a Gather. */
function take(site: Site, axis: Axis, own: Axis, positions: number[], at: number, forwards: boolean): void {
  const { node } = site;
  site.map(own, axis, range(positions.length), positions);
  const stretch = forwards && positions.every((p, i) => i === 0 || p === (positions[i - 1] as number) + 1);
  if (!stretch) {
    site.block(axis, `${node} takes it in steps or backwards`);
    return;
  }
  const [first = 0] = positions;
  site.adjust((kept) => {
    const left = kept(axis);
    if (!left) return;
    const start = left.filter((p) => p < first).length;
    const length = left.filter((p) => p >= first && p < first + positions.length).length;
    replaceItem(site, 'starts', 1, at, start);
    replaceItem(site, 'ends', 2, at, start + length);
  });
}

function replaceItem(site: Site, attr: string, index: number, at: number, value: number): void {
  const { node } = site;
  const list = node.ints(attr);
  if (list)
    node.setAttr(
      attr,
      list.map((old, i) => (i === at ? value : old)),
    );
  else {
    const dtype = node.input(index)?.dtype;
    const numbers = site.currentNumbers(index);
    if (numbers)
      setList(
        node,
        attr,
        index,
        numbers.map((old, i) => (i === at ? value : old)),
        true,
      );
    else if (dtype === 'int64') overrideItems(node, index, site.items(index)?.length ?? 1, new Map([[at, value]]));
  }
}

/** Rows of a table by computed indices, or named channels by constant ones. */
export function gather(site: Site): void {
  const { node } = site;
  const [data, indices, y] = [site.input(0), site.input(1), site.output()];
  const along = axisOf(node.int('axis', 0), data);
  if (!data || !indices || !y || along === undefined) return;
  const axis = data.axes[along] as Axis;
  const width = indices.axes.length;
  for (const other of data.axes) {
    if (other === axis) continue;
    site.same(other, y.axes[other.index < along ? other.index : other.index + width - 1]);
    if (data.isConstant) site.role(other, 'out');
  }
  for (const own of indices.axes) {
    if (width !== 1 || axis.extent === undefined || !site.numbers(1)) site.same(own, y.axes[along + own.index]);
  }
  const list = site.numbers(1);
  const extent = axis.extent;
  if (!list || extent === undefined || width > 1) {
    site.block(axis, `${node} looks up places in it that only the data knows`);
    return;
  }
  const positions = list.map((p) => (p < 0 ? p + extent : p));
  if (width === 0) {
    for (const p of positions) site.pin(axis, p, `${node} takes it out by its place`);
    site.adjust((kept) => {
      const left = kept(axis);
      if (left)
        setList(
          node,
          'indices',
          1,
          positions.map((p) => left.indexOf(p)),
          true,
        );
    });
    return;
  }
  const own = y.axes[along] as Axis;
  site.map(own, axis, range(positions.length), positions);
  site.fix(indices.axes[0]);
  site.adjust((kept) => {
    const [left, mine] = [kept(axis), kept(own)];
    if (!left && !mine) return;
    const places = new Map((left ?? range(extent)).map((p, i) => [p, i]));
    const now = (mine ?? range(positions.length)).map((i) => places.get(positions[i] as number) ?? 0);
    setVector(node, 1, now);
  });
}

/** Channels that padding adds hold a constant; they go like any other. */
export function pad(site: Site): void {
  const { node } = site;
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  const pads = site.list(node.attr('paddings') ? 'paddings' : 'pads', 1);
  const given = node.input(3) ? site.numbers(3) : range(x.axes.length);
  const mode = node.string('mode') ?? 'constant';
  if (!given || !Array.isArray(pads)) {
    site.blockAll(`${node} adds an amount that is not known`);
    return;
  }
  const padded = new Set<number>();
  for (const [i, raw] of given.entries()) {
    const at = axisOf(raw, x);
    const [axis, own] = [x.axes[at ?? -1], y.axes[at ?? -1]];
    const [before, after] = [pads[i] ?? 0, pads[i + given.length] ?? 0];
    if (!axis || !own || (before === 0 && after === 0)) continue;
    padded.add(axis.index);
    if (axis.extent === undefined || own.extent === undefined || before < 0 || after < 0 || mode !== 'constant') {
      site.fix(axis, own);
      continue;
    }
    const { extent } = axis;
    site.map(
      axis,
      own,
      range(extent),
      range(extent).map((p) => p + before),
    );
    site.adjust((kept) => {
      const left = kept(own);
      if (!left) return;
      const front = left.filter((p) => p < before).length;
      const back = left.filter((p) => p >= before + extent).length;
      replaceItem(site, node.attr('paddings') ? 'paddings' : 'pads', 1, i, front);
      replaceItem(site, node.attr('paddings') ? 'paddings' : 'pads', 1, i + given.length, back);
    });
  }
  for (const axis of x.axes) if (!padded.has(axis.index)) site.same(axis, y.axes[axis.index]);
}

/** Axes of 1 are repeated, others stay. */
export function expand(site: Site): void {
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  const lead = y.axes.length - x.axes.length;
  site.free(...y.axes);
  for (const axis of x.axes) if (axis.dim !== 1) site.same(axis, y.axes[lead + axis.index]);
  site.blockSlot(site.input(1), `it is the shape that ${site.node} asks for`);
  retarget(site, y, 1, 'shape');
}

/** A tensor of one number everywhere. */
export function constantOfShape(site: Site): void {
  const y = site.output();
  site.blockSlot(site.input(0), `it is the shape that ${site.node} asks for`);
  site.free(...(y?.axes ?? []));
  if (y) retarget(site, y, 0, 'shape');
}

export function tile(site: Site): void {
  const [x, y] = [site.input(0), site.output()];
  const repeats = site.numbers(1);
  if (!x || !y) return;
  for (const axis of x.axes) {
    const own = y.axes[axis.index];
    const times = repeats?.[axis.index];
    if (times === 1) site.same(axis, own);
    else if (times === undefined || axis.extent === undefined) {
      site.block(axis, `${site.node} repeats it an unknown number of times`);
      site.block(own, `${site.node} repeats it an unknown number of times`);
    } else if (axis.extent > 1) site.product(own, [site.factor(times), axis], true, 1);
    else site.fix(own);
  }
}

/** Batch and channels stay where their scale is 1. */
export function resize(site: Site): void {
  const [x, y] = [site.input(0), site.output()];
  if (!x || !y) return;
  for (const axis of x.axes) {
    const own = y.axes[axis.index];
    if (axis.index < 2 && axis.extent !== undefined && axis.extent === own?.extent) site.same(axis, own);
    else site.fix(axis, own);
  }
  const sizes = site.node.is('Resize') && site.opset >= 11 ? 3 : -1;
  const axes = site.node.ints('axes')?.map((axis) => axisOf(axis, y) ?? axis);
  if (site.node.input(sizes)) retarget(site, y, sizes, 'sizes', axes);
}

/** DCR keeps [blocks, blocks, channels], CRD [channels, blocks, blocks]; the other way round it is always the former. */
export function depthToSpace(site: Site): void {
  const deep = site.node.is('DepthToSpace');
  const [x, y] = [site.input(0), site.output()];
  const block = site.node.int('blocksize', 1);
  const [wide, narrow] = deep ? [x?.axes[1], y?.axes[1]] : [y?.axes[1], x?.axes[1]];
  site.same(x?.axes[0], y?.axes[0]);
  site.fix(...[...(x?.axes.slice(2) ?? []), ...(y?.axes.slice(2) ?? [])]);
  if (!wide || !narrow || narrow.extent === undefined) {
    site.block(wide, `the number of channels is not known at ${site.node}`);
    site.block(narrow, `the number of channels is not known at ${site.node}`);
    return;
  }
  const blocks = site.factor(block * block);
  const crd = deep && site.node.string('mode') === 'CRD';
  site.product(wide, crd ? [narrow, blocks] : [blocks, narrow], deep, crd ? 0 : 1);
}

/** Sees only the shape. Where that shrinks, whoever reads the shape goes on reading the old one (with a Where, from opset 9 on). */
export function shape(site: Site): void {
  const y = site.node.outputs[0];
  site.free(...(site.input(0)?.axes ?? []));
  site.fix(...(site.output()?.axes ?? []));
  if (y?.isGraphOutput) site.blockSlot(site.input(0), `${site.node} hands its shape out as "${y.name}"`);
  else if (site.opset < 9)
    site.blockSlot(site.input(0), `${site.node} reads its shape, which opset ${site.opset} cannot mend`);
}
