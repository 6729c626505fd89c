import type { Axis, Slot } from '../book.ts';
import type { Site } from '../site.ts';
import { alignRight } from './elementwise.ts';

/** [..., m, k] · [..., k, n] → [..., m, n], vectors as NumPy has them. */
export function matMul(site: Site): void {
  const [a, b, y] = [site.input(0), site.input(1), site.output()];
  if (!a || !b || !y || a.axes.length === 0 || b.axes.length === 0) return;
  const [ra, rb] = [a.axes.length, b.axes.length];
  const inner = b.axes[rb === 1 ? 0 : rb - 2];
  site.same(a.axes[ra - 1], inner);
  const ry = y.axes.length;
  const columns = rb === 1 ? undefined : b.axes[rb - 1];
  const rows = ra === 1 ? undefined : a.axes[ra - 2];
  if (columns) site.same(columns, y.axes[ry - 1]);
  if (rows) site.same(rows, y.axes[ry - (columns ? 2 : 1)]);
  batchAxes(site, a, ra - 2, y, ry - (columns ? 1 : 0) - (rows ? 1 : 0));
  batchAxes(site, b, rb - 2, y, ry - (columns ? 1 : 0) - (rows ? 1 : 0));
  weigh(site, a, a.axes[ra - 1], rows);
  weigh(site, b, inner, columns);
  if (!isWeight(a) && !isWeight(b)) for (const axis of y.axes.slice(0, -2)) site.role(axis, 'head');
}

function batchAxes(site: Site, slot: Slot, count: number, y: Slot, batch: number): void {
  for (let i = 1; i <= Math.min(count, batch); i++) {
    const axis = slot.axes[count - i];
    if (axis && axis.dim !== 1) site.same(axis, y.axes[batch - i]);
  }
}

/** Tells what a weight does along its axes, also where the weight is computed from constants. */
function weigh(site: Site, slot: Slot, inner: Axis | undefined, outer: Axis | undefined): void {
  if (!isWeight(slot)) return;
  site.role(inner, 'in');
  site.role(outer, 'out');
}

/** A constant, or a constant turned or cast. */
function isWeight(slot: Slot): boolean {
  if (slot.isConstant || slot.value?.initializer) return true;
  const node = slot.value?.producer;
  const from = node && (node.is('Transpose') || node.is('Cast') || node.is('Identity')) ? node.input(0) : undefined;
  return from !== undefined && (from.initializer !== undefined || from.producer?.op === 'Constant');
}

/** alpha · A' · B' + beta · C, A' and B' turned by transA and transB. */
export function gemm(site: Site): void {
  const { node } = site;
  const [a, b, c, y] = [site.input(0), site.input(1), site.input(2), site.output()];
  if (!a || !b || !y) return;
  const [rows, k] = node.int('transA', 0) === 0 ? [a.axes[0], a.axes[1]] : [a.axes[1], a.axes[0]];
  const [inner, columns] = node.int('transB', 0) === 0 ? [b.axes[0], b.axes[1]] : [b.axes[1], b.axes[0]];
  site.same(k, inner);
  site.same(rows, y.axes[0]);
  site.same(columns, y.axes[1]);
  if (c) {
    alignRight(site, c, y);
    site.role(c.axes.at(-1), 'each');
  }
  weigh(site, a, k, rows);
  weigh(site, b, inner, columns);
}

/** Letters are axes. */
export function einsum(site: Site): void {
  const equation = site.node.string('equation')?.replace(/\s/g, '') ?? '';
  const [left = '', right] = equation.split('->');
  const terms = left.split(',');
  if (right === undefined || equation.includes('.')) {
    site.blockAll(`the equation "${equation}" of ${site.node} leaves axes open`);
    return;
  }
  const byLetter = new Map<string, Axis>();
  for (const [at, term] of [...terms, right].entries()) {
    const slot = at < terms.length ? site.input(at) : site.output();
    for (const [index, letter] of Array.from(term).entries()) {
      const axis = slot?.axes[index];
      if (!axis || axis.dim === 1) continue;
      const first = byLetter.get(letter);
      if (first) site.same(first, axis);
      else byLetter.set(letter, axis);
    }
  }
  for (const [at, term] of terms.entries()) {
    const slot = site.input(at);
    if (!slot || !isWeight(slot)) continue;
    for (const [index, letter] of Array.from(term).entries())
      site.role(slot.axes[index], right.includes(letter) ? 'out' : 'in');
  }
}
