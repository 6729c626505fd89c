import { float } from '../../../src/ir/attr.ts';
import { constantScalar } from '../../../src/ir/constant.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

interface Operand {
  readonly value: Value;
  readonly turned: boolean;
  readonly nodes: readonly Node[];
}

/** What a Transpose of the last two axes turns; other values as they are. */
function operand(value: Value, reader: Node): Operand {
  const node = value.producer;
  const perm = node?.is('Transpose') && node.graph === reader.graph ? node.ints('perm') : undefined;
  const x = node?.input(0);
  if (!node || !x || !perm || perm.length < 2) return { value, turned: false, nodes: [] };
  const swapped = perm.every((axis, at) => axis === (at < perm.length - 2 ? at : 2 * perm.length - 3 - at));
  return swapped ? { value: x, turned: true, nodes: [node] } : { value, turned: false, nodes: [] };
}

/** The factor that one number, before or behind, makes of the product. */
function factorOf(node: Node): { x: Value; factor: number } | undefined {
  if (node.domain !== '' || (node.op !== 'Mul' && node.op !== 'Div')) return undefined;
  for (const [at, other] of node.inputs.entries()) {
    const number =
      other && other.shape?.length !== undefined && other.shape.length <= 1 ? constantScalar(other) : undefined;
    const x = node.input(1 - at);
    if (number === undefined || !x || (node.op === 'Div' && at === 0)) continue;
    return { x, factor: node.op === 'Div' ? 1 / number : number };
  }
  return undefined;
}

/** MatMul with Transposes of the last two axes before it, and a number before or behind, is FusedMatMul. */
export function fusedMatmul(target: FusionTarget): Rule {
  return {
    id: 'fused-matmul',
    summary: 'Transposes of the last two axes before a MatMul, and one number that scales it, go into FusedMatMul',
    ops: ['MatMul'],
    find(root: Node, site: Site): Match | Miss {
      const offer = target.offers('FusedMatMul', site.types.dtypeOf(root.output()));
      if (offer !== true) return miss(root, offer, false);
      if (!root.input(0) || !root.input(1)) return miss(root, 'it lacks an input', false);
      const found = plan(root, site);
      if (found.nodes.length === 0)
        return miss(root, 'nothing stands before or behind it that it could take in', false);
      const last = found.behind ?? root;
      return new Match(
        last,
        [last, ...found.nodes.filter((node) => node !== last), ...(last === root ? [] : [root])],
        new Map(),
        new Map([['matmul', root]]),
      );
    },
    apply(match, edit) {
      const root = match.node('matmul');
      const { a, b, factor } = plan(root, edit);
      edit.importDomain('com.microsoft');
      const fused = edit.insert('FusedMatMul', {
        domain: 'com.microsoft',
        inputs: [a.value, b.value],
        attrs: { alpha: float(Math.fround(factor)), transA: a.turned ? 1 : 0, transB: b.turned ? 1 : 0 },
      });
      fused.name = root.name;
      edit.replace(match.root, fused);
    },
  };
}

function plan(
  root: Node,
  { types }: Pick<Site, 'types'>,
): { a: Operand; b: Operand; factor: number; behind: Node | undefined; nodes: readonly Node[] } {
  let factor = 1;
  const nodes: Node[] = [];
  const sides = [0, 1].map((at): Operand => {
    let value = root.input(at) as Value;
    const scale =
      value.producer && value.producer.graph === root.graph && usedOnce(value) === true
        ? factorOf(value.producer)
        : undefined;
    if (scale && types.shapeOf(scale.x)?.length === types.shapeOf(value)?.length) {
      nodes.push(value.producer as Node);
      factor *= scale.factor;
      value = scale.x;
    }
    // The kernel turns matrices; a vector has nothing to turn.
    const side = operand(value, root);
    nodes.push(...side.nodes);
    return side;
  });
  const output = root.output();
  const [reader] = output.consumers;
  const behind = usedOnce(output) === true && reader?.graph === root.graph ? factorOf(reader) : undefined;
  if (behind?.x === output && types.shapeOf(reader?.output())?.length === types.shapeOf(output)?.length) {
    factor *= behind.factor;
    nodes.push(reader as Node);
  }
  return {
    a: sides[0] as Operand,
    b: sides[1] as Operand,
    factor,
    behind: behind?.x === output && nodes.includes(reader as Node) ? reader : undefined,
    nodes,
  };
}
