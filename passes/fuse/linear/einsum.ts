/** Einsum of one or two operands in operators that every runtime computes well. */
import { constantOf } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { isIdentity } from '../../../src/ir/permutation.ts';
import { computedTensor, int64Vector } from '../../../src/ir/tensor.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { type Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import { squeezed, unsqueezed } from '../attention/shape-nodes.ts';

interface Equation {
  readonly terms: readonly string[];
  readonly output: string;
}

const chars = (text: string): string[] => text.split('');

/** Letters only: no ellipsis, no letter twice in one term. */
function parse(node: Node): Equation | string {
  const text = (node.string('equation') ?? '').replaceAll(' ', '');
  if (text.includes('.')) return 'it has an ellipsis';
  const [left = '', right] = text.split('->');
  const terms = left.split(',');
  const letters = chars(left.replaceAll(',', ''));
  // Without an arrow: letters that occur once, in the order of the alphabet (ONNX Einsum, as NumPy).
  const output =
    right ??
    [...new Set(letters)]
      .filter((letter) => left.split(letter).length === 2)
      .sort()
      .join('');
  if (!/^[A-Za-z]*$/.test(terms.join('') + output)) return `"${text}" is not understood`;
  if ([...terms, output].some((term) => new Set(term).size !== term.length)) return 'it takes a diagonal';
  return { terms, output };
}

interface Product {
  readonly batch: string;
  readonly left: string;
  readonly inner: string;
  readonly right: string;
  /** The second operand is the left one. */
  readonly swapped: boolean;
}

/** Extents that are known, by letter. */
type Extents = ReadonlyMap<string, number>;

/**
 * Letters of a product of matrices: in both and in the result, only in one, summed over. One letter each but for the batch; several that are summed over, or of the right operand alone
 * (heads and their size), are one axis while the product is made, where their extents are known.
 */
function productOf({ terms, output }: Equation, extents: Extents): Product | string {
  const [a = '', b = ''] = terms;
  const pick = (of: string, inOther: boolean, inOutput: boolean, other: string) =>
    chars(of)
      .filter((letter) => other.includes(letter) === inOther && output.includes(letter) === inOutput)
      .join('');
  const lone = pick(a, false, false, b) + pick(b, false, false, a);
  if (lone) return `it sums "${lone}" over one operand alone`;
  const product = {
    batch: pick(a, true, true, b),
    inner: pick(a, true, false, b),
    left: pick(a, false, true, b),
    right: pick(b, false, true, a),
    swapped: false,
  };
  if (product.inner === '') return product;
  const turned = { ...product, left: product.right, right: product.left, swapped: true };
  const known = (letters: string): boolean => chars(letters).every((letter) => (extents.get(letter) ?? 0) > 0);
  const joinsInner = product.inner.length > 1;
  if (joinsInner && !known(product.inner)) return tooMany(product.inner);
  // A matrix that has no batch of its own is multiplied with every row of the other operand, however many axes those have.
  const rows = ({ batch, left }: Product): boolean => batch === '' || left.length <= 1;
  // What stands behind axes that were joined is at another place than before, so it cannot be copied by its place.
  const fits = (one: Product): boolean => rows(one) && ((one.right.length <= 1 && !joinsInner) || known(one.right));
  const single = (one: Product): boolean => rows(one) && one.right.length <= 1 && fits(one);
  const found = [product, turned].find(single) ?? [product, turned].find(fits);
  return found ?? tooMany(product.right.length > 1 ? product.right : product.left);
}

const tooMany = (letters: string): string => `it joins several axes (${letters}), whose extents are not known`;

/** Extents of the axes of both operands, where a type tells them. */
function extentsOf(node: Node, { terms }: Equation, types: Site['types']): Extents {
  const extents = new Map<string, number>();
  for (const [at, term] of terms.entries()) {
    const shape = types.shapeOf(node.input(at));
    if (shape?.length !== term.length) continue;
    for (const [axis, letter] of chars(term).entries()) {
      const dim = shape[axis];
      if (typeof dim === 'number') extents.set(letter, dim);
    }
  }
  return extents;
}

export const einsum: Rule = {
  id: 'einsum',
  summary: 'Einsum that is a product of matrices or of elements, or a Transpose, is MatMul, Mul and Transpose',
  ops: ['Einsum'],
  check(match: Match, { opset, types }: Site): true | Miss {
    const { root } = match;
    if (opset < 12) return miss(root, `Einsum came with opset 12, not ${opset}`);
    const equation = parse(root);
    if (typeof equation === 'string') return miss(root, `${root} stays: ${equation}`);
    const { terms, output } = equation;
    if (terms.length !== root.inputs.length)
      return miss(root, `${root} has ${root.inputs.length} operands, its equation ${terms.length}`);
    if (terms.length === 1) {
      return (
        chars(terms[0] ?? '')
          .sort()
          .join() === chars(output).sort().join() || miss(root, `${root} stays: it sums over one operand`)
      );
    }
    if (terms.length > 2) return miss(root, `${root} stays: it has ${terms.length} operands`);
    const product = productOf(equation, extentsOf(root, equation, types));
    for (const letter of typeof product === 'string' ? '' : product.inner) {
      const [m, n] = terms.map((term, at) => types.shapeOf(root.input(at))?.[term.indexOf(letter)]);
      // Einsum takes an extent of 1 along every place of the other operand's; MatMul does not.
      if (m !== n && ((typeof m === 'number' && typeof n === 'number') || m === 1 || n === 1))
        return miss(
          root,
          `${root} stays: "${letter}" is ${m ?? 'unknown'} in one operand and ${n ?? 'unknown'} in the other`,
        );
    }
    return typeof product !== 'string' || miss(root, `${root} stays: ${product}`);
  },
  apply(match, edit) {
    const { root } = match;
    const equation = parse(root) as Equation;
    const [a] = root.inputs as [Value];
    const { terms, output } = equation;
    if (terms.length === 1) {
      const perm = chars(output).map((letter) => (terms[0] as string).indexOf(letter));
      edit.replace(
        root,
        edit.insert(isIdentity(perm) ? 'Identity' : 'Transpose', {
          inputs: [a],
          attrs: isIdentity(perm) ? {} : { perm },
        }),
      );
      return undefined;
    }
    const extents = extentsOf(root, equation, edit.types);
    const { batch, left, inner, right, swapped } = productOf(equation, extents) as Product;
    const [first, second] = swapped ? [1, 0] : [0, 1];
    if (!inner) return elementwise(match, edit, equation);
    const sizes = (letters: string): number[] => chars(letters).map((letter) => extents.get(letter) as number);
    const [sums, columns] = [inner, right].map((letters) => (letters.length > 1 ? [times(sizes(letters))] : undefined));
    const copied = (letters: string): number[] => chars(letters).map(() => 0);
    // [batch, left, inner] × [batch, inner, right]; a missing side is a 1 that goes away again.
    let x = arranged(edit, root.input(first) as Value, terms[first] as string, batch + left + inner);
    if (sums) x = reshaped(edit, x, [...copied(batch + left), ...sums]);
    if (!left) x = unsqueezed(x, [batch.length], edit);
    let y = arranged(edit, root.input(second) as Value, terms[second] as string, batch + inner + right);
    if (sums ?? columns)
      y = reshaped(edit, y, [...copied(batch), ...(sums ?? copied(inner)), ...(columns ?? sizes(right))]);
    if (!right) y = unsqueezed(y, [batch.length + 1], edit);
    let last = edit.insert('MatMul', { name: root.name, inputs: [x, y] });
    const gone = [...(left ? [] : [batch.length]), ...(right ? [] : [batch.length + Math.max(1, left.length)])];
    if (gone.length > 0) last = squeezed(last.output(), gone, edit).producer as Node;
    if (columns) last = reshaped(edit, last.output(), [...copied(batch + left), ...sizes(right)]).producer as Node;
    const perm = chars(output).map((letter) => (batch + left + right).indexOf(letter));
    if (!isIdentity(perm)) last = edit.insert('Transpose', { inputs: [last.output()], attrs: { perm } });
    edit.replace(root, last);
    return { detail: last.op };
  },
};

/** `value`, with axes called `term`, as axes `wanted`. */
function arranged(edit: Edit, value: Value, term: string, wanted: string): Value {
  const perm = chars(wanted).map((letter) => term.indexOf(letter));
  return isIdentity(perm) ? value : edit.insert('Transpose', { inputs: [value], attrs: { perm } }).output();
}

/** Axes joined or parted again; 0 is an extent that stays at its place. Of a constant it is another constant, which quantizers know. */
function reshaped(edit: Edit, value: Value, target: readonly number[]): Value {
  const tensor = constantOf(value);
  if (tensor) {
    const shape = target.map((extent, axis) => extent || (tensor.shape[axis] as number));
    return edit.constant(
      `${value.name}_joined`,
      computedTensor(tensor.dtype, shape, () => tensor.bytes()),
    );
  }
  return edit.insert('Reshape', { inputs: [value, edit.constant('joined', int64Vector(target))] }).output();
}

const times = (numbers: readonly number[]): number => numbers.reduce((product, number) => product * number, 1);

/** Nothing is summed: operands aligned to the letters of the result and multiplied. */
function elementwise(match: Match, edit: Edit, { terms, output }: Equation) {
  const aligned = match.root.inputs.map((value, at) => {
    const term = terms[at] as string;
    const order = chars(output)
      .filter((letter) => term.includes(letter))
      .join('');
    const turned = arranged(edit, value as Value, term, order);
    const missing = chars(output).flatMap((letter, axis) => (term.includes(letter) ? [] : [axis]));
    // Leading axes come by broadcasting.
    const inside = missing.filter((axis) =>
      chars(output)
        .slice(0, axis)
        .some((letter) => term.includes(letter)),
    );
    const leading = missing.length - inside.length;
    return inside.length === 0
      ? turned
      : unsqueezed(
          turned,
          inside.map((axis) => axis - leading),
          edit,
        );
  });
  edit.replace(match.root, edit.insert('Mul', { name: match.root.name, inputs: aligned }));
  return { detail: 'Mul' };
}
