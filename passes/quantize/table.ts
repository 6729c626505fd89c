import { constantOf } from '../../src/ir/constant.ts';
import type { Node, Value } from '../../src/ir/graph.ts';
import { elementCount, type Tensor } from '../../src/ir/tensor.ts';
import type { Miss } from '../../src/rewrite/match.ts';
import { miss } from '../../src/rewrite/match.ts';

/** An embedding: rows of a constant matrix, looked up by number. */
export interface Table {
  readonly value: Value;
  readonly indices: Value;
  readonly tensor: Tensor;
  readonly rows: number;
  readonly width: number;
}

/** Narrow tables would pay more for their scales than they save (and scales are such tables). */
const narrowest = 8;

/** The table that a Gather looks up, or why it is none that can be quantized. Reads shapes only. */
export function readTable(node: Node, minElements: number): Table | Miss {
  const [value, indices] = [node.input(0), node.input(1)];
  const tensor = constantOf(value);
  if (!value || !indices || !tensor || (tensor.dtype !== 'float32' && tensor.dtype !== 'float16'))
    return value?.initializer?.dtype === 'float32' && value.initializer.shape.length === 2
      ? miss(
          node,
          `its table "${value.name}" is a graph input too, so a caller may replace it: make it a plain initializer`,
        )
      : miss(node, 'it looks nothing up in a constant float table', false);
  const small = elementCount(tensor.shape) < minElements;
  const [rows, width] = tensor.shape;
  if (tensor.shape.length !== 2 || rows === undefined || width === undefined || node.int('axis', 0) !== 0) {
    // Scales of experts among them, which are what quantizing made.
    const near = !small && !tensor.shape.includes(1);
    return miss(node, `its table "${value.name}" is not looked up by the rows of a matrix`, near);
  }
  if (width < narrowest) return miss(node, `the rows of its table "${value.name}" are too short`, false);
  if (small) return miss(node, `its table "${value.name}" has fewer than ${minElements} elements (--min-elements)`);
  return { value, indices, tensor, rows, width };
}

/** True for a Gather that looks rows up in `table`. */
export function looksUp(node: Node, table: Value): boolean {
  return node.is('Gather') && node.input(0) === table && node.input(1) !== table && node.int('axis', 0) === 0;
}
