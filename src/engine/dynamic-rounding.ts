import { isCastable } from '../data/cast.ts';
import { float } from '../ir/attr.ts';
import { cloneModel } from '../ir/clone.ts';
import type { Model, Node } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { openModel } from './open-model.ts';
import { farthest, jitter, jitterScales, type RoundingSpread } from './rounding.ts';

type Feeds = ReadonlyMap<string, Tensor>;

/**
 * Jittered models. What two of them show in all cases together was at most 1.05 times exceeded by ten others beyond the 2 % that are granted anyway (a
 * language model of 5 layers in dynamic int8, 2,640 outputs; with int8 inside of MatMulNBits 0.4 times), and 1.6 times in a model of few outputs
 * (dynamic-rounding.test.ts): `margin` is twice.
 */
const draws = 2;
const margin = 2;

/**
 * How far the outputs of a model that rounds its activations as they come (dynamic int8, products in int8 with weights in blocks) may lie
 * from those of another right implementation, found out on the model itself: what ties do is seen with activations that are moved by a millionth, and
 * what int8 inside of MatMulNBits does (other runtimes multiply in float) by doing without.
 * @param cases inputs
 * @param recorded what the model gave for them
 * @returns of each output, in all cases together; undefined where nothing is rounded so
 * @throws UserError when the runtime cannot evaluate the model without its optimizer.
 */
export async function dynamicSpread(
  model: Model,
  cases: readonly Feeds[],
  recorded: readonly Feeds[],
  signal?: AbortSignal,
): Promise<RoundingSpread | undefined> {
  const nodes = [...model.graphs()].flatMap((graph) => [...graph.nodes]);
  const rounds = nodes.some(roundsActivations);
  if (!rounds && !nodes.some(isExpanded4Bit)) return undefined;
  const most = new Map<string, number>();
  const others = [inFloat, ...(rounds ? Array.from({ length: draws }, (_, n) => jittered(n + 1)) : [])];
  for (const change of others) {
    const copy = cloneModel(model);
    change(copy);
    const session = await openModel(copy, {
      graphOptimizationLevel: 'disabled',
      label: 'the model, rounded another way',
    });
    try {
      for (const [n, feeds] of cases.entries()) {
        signal?.throwIfAborted();
        for (const [name, got] of await session.run(feeds)) {
          const want = recorded[n]?.get(name);
          if (!want || !isCastable(want.dtype) || want.byteLength !== got.byteLength) continue;
          most.set(name, Math.max(most.get(name) ?? 0, margin * farthest(want, got)));
        }
      }
    } finally {
      await session.dispose();
    }
  }
  return most;
}

/** Whether an input of float32 is rounded to int8 on a scale that is found while the model runs. */
function roundsActivations(node: Node): boolean {
  if (node.is('DynamicQuantizeLinear')) return true;
  if (node.domain !== 'com.microsoft') return false;
  return node.op === 'DynamicQuantizeMatMul' || node.op === 'DynamicQuantizeLSTM' || isInt8Blocks(node);
}

function isInt8Blocks(node: Node): boolean {
  return node.is('MatMulNBits', 'com.microsoft') && node.int('accuracy_level', 0) === 4;
}

/** The native runtime makes MatMulNBits in int8 of it, others expand the weights. */
function isExpanded4Bit(node: Node): boolean {
  const dtype = node.is('DequantizeLinear') ? node.input(0)?.dtype : undefined;
  return dtype === 'int4' || dtype === 'uint4';
}

function inFloat(model: Model): void {
  for (const graph of model.graphs())
    for (const node of graph.nodes) if (isInt8Blocks(node)) node.setAttr('accuracy_level', 1);
}

/** Moves each element before it is rounded by up to a millionth of itself, each draw another way. */
function jittered(draw: number): (model: Model) => void {
  return (model) => {
    jitterScales(model, draw);
    let count = 0;
    for (const graph of model.graphs()) {
      for (const node of graph.nodes) {
        const input = node.input(0);
        if (!input || !roundsActivations(node) || (input.dtype ?? 'float32') !== 'float32') continue;
        const factor = graph.insertBefore(node, 'RandomUniformLike', {
          inputs: [input],
          attrs: {
            dtype: 1,
            low: float(1 - jitter),
            high: float(1 + jitter),
            seed: float(draw * 10_000 + count++),
          },
        });
        const moved = graph.insertBefore(node, 'Mul', { inputs: [input, factor.output()] });
        node.setInput(0, moved.output());
      }
    }
  };
}
