import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { countMacs } from '../../../src/ir/macs.ts';
import { type Term, termsOf } from '../channels/macs.ts';
import type { Parts, Shape } from './parts.ts';

/** Channels that float kernels of ONNX Runtime work on at a time with AVX-512 (NCHWc blocks; columns of products). */
export const lanes = 16;

/**
 * What a model takes, in multiply-accumulates of full blocks of channels: a stand-in for its time that is the same on every run. Measured
 * on AVX-512 (chains of 3×3 convolutions c → m → c, × the time of m = c): of 32 channels 28, 24 and 20 take 0.99, 16 take 0.53 and 8 take
 * 0.43; of 64 channels 56 take 1.02, 48 0.75, 40 0.75, 32 0.51, 16 0.27; of 16 channels 12 take 0.99, 8 take 0.81. So channels count by
 * the sixteen, and eight as twelve.
 */
export class TimeModel {
  readonly #terms: readonly Term[];
  readonly #parts: Parts;
  readonly total: number;
  readonly totalMacs: number;

  /** @param extents what names of dimensions stand for */
  constructor(parts: Parts, extents: ReadonlyMap<string, number>) {
    const { coupling, candidates } = parts;
    const { byNode } = countMacs(coupling.model, inferShapes(coupling.model, { write: false }), { bindings: extents });
    const groups = candidates.map(({ group }) => group);
    const terms: Term[] = [];
    for (const [node, macs] of byNode) {
      if (node.graph !== coupling.model.graph) continue;
      terms.push(...termsOf(coupling, groups, node, macs));
    }
    this.#terms = terms;
    this.#parts = parts;
    const all: Shape = { widths: new Map(), dropped: new Set() };
    this.total = this.of(all);
    this.totalMacs = this.macs(all);
  }

  of(shape: Shape): number {
    return this.#sum(shape, blocked);
  }

  /** Multiply-accumulates, each channel for one. */
  macs(shape: Shape): number {
    return this.#sum(shape, (channels) => channels);
  }

  #sum({ widths, dropped }: Shape, taking: (channels: number) => number): number {
    const gone = new Map(
      this.#parts.candidates.map(({ group }) => [group.id, group.size - (widths.get(group.id) ?? group.size)]),
    );
    const without = new Set([...dropped].flatMap((index) => [...(this.#parts.blocks[index]?.nodes ?? [])]));
    let sum = 0;
    for (const { node, macs, axes } of this.#terms) {
      if (without.has(node)) continue;
      let share = 1;
      for (const { extent, perUnit } of axes) {
        let left = extent;
        for (const [group, positions] of perUnit) left -= positions * (gone.get(group) ?? 0);
        share *= taking(left) / extent;
      }
      sum += macs * share;
    }
    return sum;
  }
}

const blocked = (channels: number): number =>
  channels <= lanes / 2 ? 0.75 * lanes : Math.ceil(channels / lanes) * lanes;
