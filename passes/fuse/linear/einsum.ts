/** Einsum of one or two operands in operators that every runtime computes well. */
import type { Node, Value } from '../../../src/ir/graph.ts';
import { isIdentity } from '../../../src/ir/permutation.ts';
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

/** Letters of a product of matrices: in both and in the result, only in one, summed over. One letter each but for the batch. */
function productOf({ terms, output }: Equation): Product | string {
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
  // A matrix that has no batch of its own is multiplied with every row of the other operand, however many axes those have.
  const shared = product.batch === '';
  if (shared && product.right.length > 1 && product.left.length <= 1)
    return { ...product, left: product.right, right: product.left, swapped: true };
  const tooMany = [product.inner, shared ? '' : product.left, product.right].find((letters) => letters.length > 1);
  if (tooMany) return `it joins several axes (${tooMany})`;
  return product;
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
    const product = productOf(equation);
    if (typeof product !== 'string' && product.inner) {
      const [m, n] = terms.map((term, at) => types.shapeOf(root.input(at))?.[term.indexOf(product.inner)]);
      if (m !== n && typeof m === 'number' && typeof n === 'number')
        return miss(root, `${root} stays: "${product.inner}" is ${m} in one operand and ${n} in the other`);
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
    const { batch, left, inner, right, swapped } = productOf(equation) as Product;
    const [first, second] = swapped ? [1, 0] : [0, 1];
    if (!inner) return elementwise(match, edit, equation);
    // [batch, left, inner] × [batch, inner, right]; a missing side is a 1 that goes away again.
    const x = arranged(
      edit,
      root.input(first) as Value,
      terms[first] as string,
      batch + left + inner,
      left ? undefined : batch.length,
    );
    const y = arranged(
      edit,
      root.input(second) as Value,
      terms[second] as string,
      batch + inner + right,
      right ? undefined : batch.length + 1,
    );
    let last = edit.insert('MatMul', { name: root.name, inputs: [x, y] });
    const gone = [...(left ? [] : [batch.length]), ...(right ? [] : [batch.length + Math.max(1, left.length)])];
    if (gone.length > 0) last = squeezed(last.output(), gone, edit).producer as Node;
    const perm = chars(output).map((letter) => (batch + left + right).indexOf(letter));
    if (!isIdentity(perm)) last = edit.insert('Transpose', { inputs: [last.output()], attrs: { perm } });
    edit.replace(root, last);
    return { detail: last.op };
  },
};

/** `value`, with axes called `term`, as axes `wanted`, and a 1 at `extra`. */
function arranged(edit: Edit, value: Value, term: string, wanted: string, extra: number | undefined): Value {
  const perm = chars(wanted).map((letter) => term.indexOf(letter));
  const turned = isIdentity(perm) ? value : edit.insert('Transpose', { inputs: [value], attrs: { perm } }).output();
  return extra === undefined ? turned : unsqueezed(turned, [extra], edit);
}

/** Nothing is summed: operands aligned to the letters of the result and multiplied. */
function elementwise(match: Match, edit: Edit, { terms, output }: Equation) {
  const aligned = match.root.inputs.map((value, at) => {
    const term = terms[at] as string;
    const order = chars(output)
      .filter((letter) => term.includes(letter))
      .join('');
    const turned = arranged(edit, value as Value, term, order, undefined);
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
