/** ONNX Runtime's own convolutions and products with an activation, and a residual, inside: what its level extended makes of them too. */
import { type Attr, type AttrInput, floats, string } from '../../../src/ir/attr.ts';
import { equalShapes } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { usedOnce } from '../../../src/rewrite/conditions.ts';
import { Match, type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import { boundsOf } from '../bounds.ts';
import type { FusionTarget } from '../target.ts';

/** The kernels' own limits where Clip has no bound. */
const largest = 3.4028234663852886e38;

/** FusedConv's `activation_params`; a sentence where the activation is not one of the kernel's. */
function parameters(node: Node, opset: number): readonly number[] | string {
  switch (node.op) {
    case 'Relu':
    case 'Sigmoid':
    case 'Tanh':
      return [];
    case 'LeakyRelu':
      return [node.float('alpha', 0.01)];
    case 'HardSigmoid':
      return [node.float('alpha', 0.2), node.float('beta', 0.5)];
    default: {
      const bounds = boundsOf(node, opset);
      if (typeof bounds === 'string') return bounds;
      return [Math.max(bounds.low, -largest), Math.min(bounds.high, largest)];
    }
  }
}

const activations = ['Relu', 'Clip', 'Sigmoid', 'Tanh', 'LeakyRelu', 'HardSigmoid'];

/**
 * Measured: cifar10-resnet20, one thread, quiet: ×1.18. ONNX Runtime's NchwcTransformer turns Conv, Add and Relu into one blocked Conv where both operands are blocked, and
 * leaves the Convs blocked where they are not; a FusedConv whose residual is not blocked stays plain, and so does each one that reads its output as residual (6 of 9 there).
 * WebAssembly has no blocked kernels (×1.00).
 */
const blocked =
  'stays in plain layout on the CPU unless the residual is in the blocked one, where ONNX Runtime itself works on Conv, Add and the activation (a residual network takes ×1.18 of the time, measured)';

/** The CUDA kernels (cuDNN) know this one alone. */
const onCuda = ['Relu'];

/** Conv, Conv + residual, or Gemm in front of an activation. */
export function fusedActivation(target: FusionTarget): Rule {
  return {
    id: 'fused-activation',
    summary: 'Conv, with a residual or without, and Gemm before an activation are FusedConv and FusedGemm',
    ops: activations,
    find: (node, site) => findFused(node, site, target),
    apply(match, edit) {
      const { root } = match;
      const linear = match.nodes.at(-1) as Node;
      const params = parameters(root, edit.opset) as readonly number[];
      const attrs: Record<string, AttrInput | Attr> = {
        ...Object.fromEntries(linear.attrs),
        activation: string(root.op),
      };
      if (params.length > 0) attrs['activation_params'] = floats(params);
      const [x, w, b] = linear.inputs;
      edit.importDomain('com.microsoft');
      const fused = edit.insert(`Fused${linear.op}`, {
        domain: 'com.microsoft',
        inputs: [x, w, b, match.maybeValue('residual')],
        attrs,
      });
      fused.name = linear.name;
      edit.replace(root, fused);
    },
  };
}

function findFused(root: Node, site: Site, target: FusionTarget): Match | Miss {
  const quiet = (why: string): Miss => miss(root, why, false);
  const value = root.input(0);
  const before = value?.producer;
  if (!value || !before || before.graph !== root.graph || root.domain !== '')
    return quiet('no Conv or Gemm makes what it reads');
  const isSum = before.is('Add');
  const linears = isSum
    ? before.inputs.filter((input) => input?.producer?.is('Conv') && input.producer.graph === root.graph)
    : [value];
  const linear =
    linears.map((input) => input?.producer).find((node) => node && usedOnce(node.output()) === true) ??
    linears[0]?.producer;
  if (!linear?.is('Conv') && !(linear?.is('Gemm') && !isSum)) return quiet('no Conv or Gemm makes what it reads');
  const name = `Fused${linear.op}`;
  const offer = target.offers(name, site.types.dtypeOf(root.output()));
  if (offer !== true) return quiet(offer);
  if (target.provider === 'cuda' && !onCuda.includes(root.op)) return quiet(`${name} of CUDA has no ${root.op}`);
  for (const inner of isSum ? [value, linear.output()] : [value]) {
    const once = usedOnce(inner);
    if (once !== true) return miss(root, once);
  }
  const params = parameters(root, site.opset);
  if (typeof params === 'string') return miss(root, params);
  if (linear.is('Gemm') && params.length > 0) return quiet(`FusedGemm with ${root.op} is not written down here`);
  let residual: Value | undefined;
  if (isSum) {
    if (target.provider === 'cpu') return miss(root, `FusedConv with the residual ${blocked}`);
    if (target.provider !== 'web-wasm') return quiet(`FusedConv of ${target.provider} takes no residual`);
    residual = before.inputs.find((input) => input !== linear.output());
    if (!residual) return quiet('both operands are the same');
    if (!equalShapes(site.types.shapeOf(residual), site.types.shapeOf(linear.output())))
      return miss(root, `"${residual.name}" is not known to have the shape of what ${linear} gives`);
  }
  const nodes = isSum ? [root, before, linear] : [root, linear];
  return new Match(root, nodes, new Map(residual ? [['residual', residual]] : []), new Map());
}
