import { int, ints } from '../../../src/ir/attr.ts';
import { constantOf } from '../../../src/ir/constant.ts';
import { convWindow } from '../../../src/ir/conv-window.ts';
import type { Model, Node, Value } from '../../../src/ir/graph.ts';
import { inferShapes } from '../../../src/ir/infer/infer.ts';
import { sortTopologically } from '../../../src/ir/sort.ts';
import { computedTensor, elementCount, int64Vector, type Tensor } from '../../../src/ir/tensor.ts';
import type { ValueType } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { readLinear } from '../linear.ts';
import { smallestBlock } from './format.ts';

/** More matrices than these in a batch would make a graph of many small products. */
const mostMatrices = 64;

/** Products of other types would stay as they are, in many pieces. */
const isStorable = ({ dtype }: Tensor): boolean => dtype === 'float32' || dtype === 'float16';

export interface AsMatMulOptions {
  readonly minElements: number;
  /** Why a node is left alone, if so. */
  readonly keptWhy: (node: Node) => string | undefined;
}

/**
 * Inferred types, where a model multiplies with batches of matrices, for the rule to ask: exporters seldom declare how an input is spread over
 * them. The graph is sorted for it.
 * @returns undefined where it does not
 */
export function typesForBatches(model: Model): ReadonlyMap<Value, ValueType> | undefined {
  const has = [...model.graphs()].some((graph) =>
    [...graph.nodes].some((node) => node.is('MatMul') && constantOf(node.input(1))?.shape.length === 3),
  );
  if (!has) return undefined;
  sortTopologically(model.graph);
  return inferShapes(model, { write: false }).types;
}

/**
 * A batch of constant matrices, one for each index of the leading dimension (experts, heads): formats with weights in blocks take one
 * matrix, so each gets a product of its own, and the results are put together. The same sums in the same order.
 */
export function batchedRule({ minElements, keptWhy }: AsMatMulOptions): Rule {
  return {
    id: 'batched',
    summary: 'Products with a batch of constant matrices become one product for each matrix',
    ops: ['MatMul'],
    apply({ root }, edit) {
      const linear = readLinear(root);
      if (
        typeof linear === 'string' ||
        linear.batch.length !== 1 ||
        linear.tensor.shape[0] === 1 ||
        !isStorable(linear.tensor)
      )
        return miss(root, 'it is another kind of product', false);
      const { a, tensor, weight, k, n } = linear;
      const count = tensor.shape[0] as number;
      const shape = edit.types.shapeOf(a);
      const lead = shape?.length === 3 ? shape[0] : shape?.length === 2 ? 1 : undefined;
      const why =
        keptWhy(root) ??
        (lead !== 1 && lead !== count
          ? `its weights "${weight.name}" are a batch of matrices (${tensor.shape.join('×')}), and it is not known how "${a.name}" is spread over them`
          : weight.useCount > 1
            ? `its weights "${weight.name}", a batch of matrices, are shared`
            : count > mostMatrices
              ? `its weights "${weight.name}" are a batch of ${count} matrices: more than ${mostMatrices} would make a graph of small products`
              : k * n < minElements || k < smallestBlock
                ? `its weights "${weight.name}" are a batch of small matrices (${k}×${n}): there is nothing to gain (--min-elements)`
                : undefined);
      if (why !== undefined) return miss(root, why);
      const parts = Array.from({ length: count }, (_, at) => {
        const own = edit.constant(`${weight.name}_${at}`, matrixOf(tensor, at));
        const input = lead === 1 ? a : pick(edit, a, at);
        const product = edit.insert('MatMul', { name: root.name && `${root.name}_${at}`, inputs: [input, own] });
        if (shape?.length !== 2) return product.output();
        const form = edit.constant('matrix', int64Vector([1, -1, n]));
        return edit.insert('Reshape', { inputs: [product.output(), form] }).output();
      });
      const all = edit.insert('Concat', { inputs: parts, attrs: { axis: int(0) } });
      edit.replace(root, all);
      return { detail: `${count} matrices of ${k}×${n}` };
    },
  };
}

/** The slice [at] of the leading dimension, which stays, as 1. */
function pick(edit: Edit, value: Value, at: number): Value {
  const index = edit.constant('index', int64Vector([at]));
  return edit.insert('Gather', { inputs: [value, index], attrs: { axis: int(0) } }).output();
}

function matrixOf(tensor: Tensor, at: number): Tensor {
  const shape = tensor.shape.slice(1);
  const size = tensor.byteLength / (tensor.shape[0] as number);
  return computedTensor(tensor.dtype, shape, () => tensor.bytes().slice(at * size, (at + 1) * size));
}

/**
 * A convolution that looks at one position at a time is a product over the channels: of the channels themselves where there is one
 * position, else between two Transposes. The sums are the same; on the CPU the Transposes and the kernel of the product take longer than the convolution
 * did, so this is for those who ask for it (`--conv`).
 */
export function pointwiseRule({ minElements, keptWhy }: AsMatMulOptions): Rule {
  return {
    id: 'pointwise',
    summary: 'Convolutions with a window of one position become products (--conv)',
    ops: ['Conv'],
    apply({ root }, edit) {
      const [x, w, bias] = [root.input(0), root.input(1), root.input(2)];
      const tensor = constantOf(w);
      if (!x || !w || !tensor || !isStorable(tensor)) return miss(root, 'it is another kind of product', false);
      const [n = 0, k = 0, ...kernel] = tensor.shape;
      const { strides, pads } = convWindow(root, kernel);
      if (kernel.some((extent) => extent !== 1) || root.int('group', 1) !== 1)
        return miss(root, 'it is another kind of product', false);
      const padded = typeof pads !== 'string' && [...pads.begin, ...pads.end].some((pad) => pad !== 0);
      const why =
        keptWhy(root) ??
        (strides.some((stride) => stride !== 1) || padded
          ? 'its window of one position has strides or padding, which a product has not'
          : w.useCount > 1
            ? `its weights "${w.name}" are shared`
            : elementCount(tensor.shape) < minElements || k < smallestBlock
              ? `its weights "${w.name}" have ${elementCount(tensor.shape)} elements and ${k} inputs: there is nothing to gain (--min-elements)`
              : undefined);
      if (why !== undefined) return miss(root, why, true);
      const matrix = edit.constant(
        `${w.name}_matrix`,
        computedTensor(tensor.dtype, [n, k], () => tensor.bytes()),
      );
      const turned = edit.insert('Transpose', { inputs: [matrix], attrs: { perm: ints([1, 0]) } }).output();
      const rank = tensor.shape.length;
      const shape = edit.types.shapeOf(x);
      const single = shape?.length === rank && shape.slice(2).every((dim) => dim === 1);
      const toLast = [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
      const toFirst = [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)];
      const flat = single
        ? edit.insert('Reshape', { inputs: [x, edit.constant('rows', int64Vector([-1, k]))] })
        : edit.insert('Transpose', { inputs: [x], attrs: { perm: ints(toLast) } });
      let product = edit.insert('MatMul', { name: root.name, inputs: [flat.output(), turned] });
      if (bias) product = edit.insert('Add', { inputs: [product.output(), bias] });
      const back = single
        ? edit.insert('Reshape', {
            inputs: [product.output(), edit.constant('form', int64Vector([-1, n, ...kernel]))],
          })
        : edit.insert('Transpose', { inputs: [product.output()], attrs: { perm: ints(toFirst) } });
      edit.replace(root, back);
      return { detail: `${k} to ${n} channels` };
    },
  };
}
