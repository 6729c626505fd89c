import { dtypeBits } from '../ir/dtype.ts';
import { type Tensor, tensorFromBytes } from '../ir/tensor.ts';
import type { IoInfo } from '../report/report.ts';

/**
 * The feeds at other extents of each free dimension: twice as much by repeating, and a single one. Runtimes take other ways through their
 * kernels then. @returns none for what is fixed; a model may refuse what comes out
 */
export function otherShapes(inputs: readonly IoInfo[], feeds: ReadonlyMap<string, Tensor>): Map<string, Tensor>[] {
  const free = new Set(inputs.flatMap(({ shape }) => (shape ?? []).flatMap((dim, axis) => freeName(dim, axis) ?? [])));
  const made: Map<string, Tensor>[] = [];
  for (const name of free) {
    for (const change of [(extent: number): number => extent * 2, (extent: number): number => Math.min(extent, 1)]) {
      const changed = new Map(feeds);
      let differs = false;
      for (const input of inputs) {
        // A mask may have the same dimension twice: [batch, length, length].
        for (const [axis, dim] of (input.shape ?? []).entries()) {
          const tensor = changed.get(input.name);
          if (freeName(dim, axis) !== name || !tensor) continue;
          const other = withExtent(tensor, axis, change(tensor.shape[axis] ?? 0));
          differs ||= other !== tensor;
          changed.set(input.name, other);
        }
      }
      if (differs) made.push(changed);
    }
  }
  return made;
}

/** Dimensions of one name have one extent; those without a name are taken to belong together where they stand at the same place. */
function freeName(dim: number | string | null, axis: number): string | undefined {
  return typeof dim === 'number' ? undefined : (dim ?? `#${axis}`);
}

/** Its rows along an axis from the front, beginning anew at the end. Texts stay as they are. */
function withExtent(tensor: Tensor, axis: number, extent: number): Tensor {
  const { dtype, shape } = tensor;
  const bits = dtypeBits(dtype);
  const had = shape[axis] ?? 0;
  if (bits < 8 || had === extent || had === 0) return tensor;
  const inner = shape.slice(axis + 1).reduce((product, dim) => product * dim, bits / 8);
  const outer = shape.slice(0, axis).reduce((product, dim) => product * dim, 1);
  const from = tensor.bytes();
  const to = new Uint8Array(outer * extent * inner);
  for (let row = 0; row < outer; row++) {
    for (let n = 0; n < extent; n++) {
      const at = (row * had + (n % had)) * inner;
      to.set(from.subarray(at, at + inner), (row * extent + n) * inner);
    }
  }
  return tensorFromBytes(dtype, shape.with(axis, extent), to);
}
