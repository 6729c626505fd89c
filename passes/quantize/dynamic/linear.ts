import { dtypeCode } from '../../../src/ir/dtype.ts';
import type { Graph, Value } from '../../../src/ir/graph.ts';
import { type Inferred, inferShapes } from '../../../src/ir/infer/infer.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { readLinear } from '../linear.ts';
import { logarithmBehind } from '../logarithm.ts';
import { finishLinear, plainActivation } from '../rewire.ts';
import type { WeightStore } from './weights.ts';

/** An activation in 8 bits: outputs of DynamicQuantizeLinear. */
interface QuantizedActivation {
  readonly codes: Value;
  readonly scale: Value;
  readonly zeroPoint: Value;
}

/** One DynamicQuantizeLinear per activation and graph, shared by its readers. */
export class ActivationStore {
  readonly #made = new Map<Graph, Map<Value, QuantizedActivation>>();

  get(edit: Edit, value: Value, fresh: boolean): QuantizedActivation {
    const known = this.#made.get(edit.graph)?.get(value);
    if (known) return known;
    const { graph } = edit;
    const name = (suffix: string): string => graph.freshName(`${value.name}_${suffix}`);
    const node = edit.insert('DynamicQuantizeLinear', {
      inputs: [value],
      outputs: [name('quantized'), name('scale'), name('zero_point')],
      types: [tensorType('uint8', value.shape), tensorType('float32', []), tensorType('uint8', [])],
    });
    const made = { codes: node.output(0), scale: node.output(1), zeroPoint: node.output(2) };
    if (!fresh)
      this.#made.set(graph, (this.#made.get(graph) ?? new Map<Value, QuantizedActivation>()).set(value, made));
    return made;
  }
}

/**
 * MatMul and Gemm with constant weights → DynamicQuantizeLinear, MatMulInteger, Cast, Mul (and Add for a bias): the
 * form that ONNX Runtime fuses into DynamicQuantizeMatMul or MatMulIntegerToFloat.
 */
export function linearRule(weights: WeightStore, activations: ActivationStore, minElements: number): Rule {
  let inferred: Inferred | undefined;
  /** Of an activation, where the file does not say. */
  const rankOf = (edit: Edit, value: Value): number | undefined => {
    const declared = edit.types.shapeOf(value);
    if (declared) return declared.length;
    inferred ??= inferShapes(edit.model, { write: false });
    const type = inferred.types.get(value);
    return type?.kind === 'tensor' ? type.shape?.length : undefined;
  };
  return {
    id: 'linear',
    summary: 'MatMul and Gemm with constant weights multiply in 8 bits; activations are quantized at run time',
    ops: ['MatMul', 'Gemm'],
    apply(match, edit) {
      const { root } = match;
      const linear = readLinear(root);
      if (typeof linear === 'string') return miss(root, linear);
      const { tensor, weight } = linear;
      const elements = elementCount(tensor.shape);
      if (elements < minElements) {
        return miss(
          root,
          `its weights "${weight.name}" have ${elements} elements: below ${minElements} there is nothing to gain (--min-elements)`,
        );
      }
      if (edit.opset < 11) {
        return miss(root, `opset ${edit.opset} has no DynamicQuantizeLinear: export the model with opset 11 or later`);
      }
      // Each matrix has scales [1, N]: of a vector times several matrices come no rows that these would stand under.
      if (linear.batch.length > 0 && (rankOf(edit, linear.a) ?? 1) < 2) {
        return miss(
          root,
          `its weights "${weight.name}" are ${linear.batch.join(' × ')} matrices, and "${linear.a.name}" is not known to be more than a vector, to whose products their scales do not fit`,
        );
      }
      const logarithm = logarithmBehind(root);
      if (logarithm !== undefined) return miss(root, logarithm);
      const quantized = weights.columns(linear);
      if (typeof quantized === 'string') return miss(root, quantized);

      const a = plainActivation(edit, linear);
      const activation = activations.get(edit, a, linear.transA);
      const sums = edit.insert('MatMulInteger', {
        name: edit.graph.freshName(`${root.name || 'matmul'}_integer`),
        inputs: [activation.codes, quantized.codes, activation.zeroPoint, quantized.zeroPoint],
        types: [tensorType('int32', root.output().shape)],
      });
      const cast = edit.insert('Cast', {
        inputs: [sums.output()],
        attrs: { to: dtypeCode('float32') },
        types: [tensorType('float32', root.output().shape)],
      });
      const scale = edit.insert('Mul', {
        inputs: [activation.scale, quantized.scales],
        types: [tensorType('float32', quantized.scales.shape)],
      });
      const product = edit.insert('Mul', {
        name: root.name,
        inputs: [cast.output(), scale.output()],
        types: [tensorType('float32', root.output().shape)],
      });
      finishLinear(edit, linear, product);
      return { detail: `${tensor.shape.join('×')} weights in 8 bits` };
    },
  };
}
