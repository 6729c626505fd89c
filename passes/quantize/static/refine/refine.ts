import { bug } from '../../../../src/errors.ts';
import { cloneModel } from '../../../../src/ir/clone.ts';
import type { Model, Node, Value } from '../../../../src/ir/graph.ts';
import { type Affine, type IntRange, intRanges } from '../../../../src/kernels/quantize.ts';
import type { Activations, PassContext } from '../../../../src/pass/pass.ts';
import type { Plan } from '../plan.ts';
import { type BiasCorrection, correctBiases } from './bias.ts';
import { type QdqLayer, readQdqLayer } from './layer.ts';
import { type Rounding, type RoundingOptions, refineRounding } from './rounding.ts';

export interface RefineOptions {
  readonly weights: Rounding | 'auto';
  readonly correctBias: BiasCorrection;
  readonly floatBias: boolean;
  readonly range: IntRange;
  readonly unsafe: RoundingOptions['unsafe'];
}

/**
 * Made before QuantizeLinear and DequantizeLinear go in, used behind them: fits codes of weights, and corrects biases, with a view to
 * what the float model computes.
 */
export class Refinement {
  readonly #float: Model;
  readonly #outputs = new Map<Node, string>();
  readonly #inputs = new Map<Node, Value>();
  readonly #plan: Plan;

  constructor(model: Model, plan: Plan) {
    this.#float = cloneModel(model);
    this.#plan = plan;
    for (const { node, kind } of plan.units.values()) {
      if (kind !== 'weighted') continue;
      this.#outputs.set(node, node.output().name);
      this.#inputs.set(node, node.input(0) ?? bug(`${node} has no input`));
    }
  }

  /** @param params of the activations */
  async run(
    model: Model,
    params: ReadonlyMap<Value, Affine>,
    activations: Activations,
    options: RefineOptions,
    ctx: PassContext,
  ): Promise<void> {
    const layers: QdqLayer[] = [];
    for (const unit of this.#plan.units.values()) {
      const output = this.#outputs.get(unit.node);
      const layer = output === undefined ? undefined : readQdqLayer(unit, output, options.floatBias);
      if (layer) layers.push(layer);
    }
    const inputScale = ({ node }: QdqLayer): number => {
      const value = this.#inputs.get(node);
      return (value && params.get(value)?.scale) ?? bug(`no scale for the input of ${node}`);
    };
    if (options.weights !== 'minmax') {
      const { range, unsafe } = options;
      const chosenByUs = options.weights === 'auto';
      const method = options.weights === 'auto' ? 'gptq' : options.weights;
      await refineRounding(this.#float, layers, activations, { method, chosenByUs, range, inputScale, unsafe }, ctx);
    }
    if (options.correctBias !== 'none')
      await correctBiases(this.#float, model, layers, activations, { method: options.correctBias, inputScale }, ctx);
  }
}

/** Codes of weights: 8 bits, or 7. */
export const weightRange = (reduced: boolean): IntRange =>
  reduced ? intRanges.int8.reduced : intRanges.int8.symmetric;
