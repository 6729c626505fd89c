import { pruneTargets } from '../../passes/prune/targets.ts';
import { weightsOf } from '../../passes/prune/weights.ts';
import type { Model } from '../ir/graph.ts';
import { countZeros, isNofM } from '../kernels/mask.ts';
import { formatCount } from '../messages.ts';

/** How sparse the weights of a model are, and which layers have the pattern that TensorRT runs in sparse kernels. */
export interface ZeroFacts {
  readonly weights: number;
  readonly zeros: number;
  /** Layers with at most two weights in each four neighbours along their inputs, and zeros at all. */
  readonly twoOfFour: readonly string[];
  readonly layers: number;
}

export function zeroFacts(model: Model): ZeroFacts {
  let [weights, zeros] = [0, 0];
  const twoOfFour: string[] = [];
  const targets = pruneTargets(
    model,
    0,
    () => false,
    () => undefined,
  );
  for (const target of targets) {
    const data = weightsOf(target);
    const own = countZeros(data);
    weights += data.length;
    zeros += own;
    if (target.view.length >= 4 && own > 0 && isNofM(data, target.view, 2, 4)) twoOfFour.push(String(target.node));
  }
  return { weights, zeros, twoOfFour, layers: targets.length };
}

export const describeZeros = ({ weights, zeros, twoOfFour, layers }: ZeroFacts): string =>
  `${formatCount(zeros)} of ${formatCount(weights)} weights (${((100 * zeros) / Math.max(1, weights)).toFixed(2)} %); 2:4 along the inputs in ${twoOfFour.length} of ${layers} layers` +
  (twoOfFour.length > 0 ? ', which TensorRT may run in sparse kernels (trtexec --sparsity=enable)' : '');
