import { join } from 'node:path';
import type { Dataset } from '../../data/dataset.ts';
import { reported } from '../../engine/compare.ts';
import { compareLayers } from '../../engine/compare-layers.ts';
import { openModel } from '../../engine/open-model.ts';
import { UserError } from '../../errors.ts';
import type { Model, Node } from '../../ir/graph.ts';
import { loadModel } from '../../onnx/load.ts';
import type { LayerError } from '../../report/evidence.ts';
import type { VariantResult } from '../../report/report.ts';
import type { Session } from '../command.ts';
import { feedBatches } from '../feeds.ts';
import type { Settings } from './settings.ts';

/** Samples that layers are compared on: errors of layers differ by decibels, and eight show that. */
const samples = 8;
/** Larger files are not compared layer by layer: both models run without the optimizer, which takes several times as long. */
const largestBytes = 512e6;
/** Operators, by the end of their names, whose outputs tell a layer: the runtime's quantized forms among them. */
const heavy = /(Conv|ConvTranspose|MatMul|Gemm|MatMulNBits|LSTM|GRU|RNN|Attention)$/;

interface Context {
  readonly base: Model;
  readonly dataset: Dataset | undefined;
  readonly settings: Settings;
  readonly session: Session;
  /** Folder that `variants/<name>/model.onnx` stands in. */
  readonly folder: string;
}

/** The variants, those that are recommended with the error of each of their layers against the same value of base. */
export async function withLayerErrors(
  variants: readonly VariantResult[],
  context: Context,
): Promise<readonly VariantResult[]> {
  const result: VariantResult[] = [];
  for (const variant of variants) {
    const layers = isCompared(variant) ? await errorsOf(variant, context) : [];
    result.push(layers.length > 0 ? { ...variant, layers } : variant);
  }
  return result;
}

const isCompared = ({ name, verdict, file, bytes }: VariantResult): boolean =>
  verdict === 'recommended' && name !== 'base' && file !== null && (bytes ?? Infinity) <= largestBytes;

/** It explains a variant and does not judge it: where it cannot be made, the rest stands. */
async function errorsOf(variant: VariantResult, context: Context): Promise<LayerError[]> {
  const { base, dataset, settings, session } = context;
  session.talk.progress(`measure ${variant.name}`, 'error of its layers');
  try {
    const candidate = await loadModel(join(context.folder, variant.file ?? ''));
    const runtime = await openModel(base, { label: 'the model' });
    try {
      const options = { dataset, model: base, runtime, seed: settings.seed, shapes: settings.inputShape, samples };
      const { layers } = await compareLayers(base, candidate, () => feedBatches(options), {
        signal: session.io.signal,
      });
      const before = makersOf(base);
      const after = makersOf(candidate);
      return layers.flatMap((layer) => {
        const node = before.get(layer.name);
        if (!node || layer.shapes || !heavy.test(after.get(layer.name)?.op ?? '')) return [];
        return [{ node: node.name || layer.name, op: node.op, ...reported(layer) }];
      });
    } finally {
      await runtime.dispose();
    }
  } catch (error) {
    session.io.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    session.talk.warn(`the layers of variant ${variant.name} were not compared: ${error.message}`);
    return [];
  }
}

/** Nodes of the main graph by the values that they make. */
function makersOf(model: Model): Map<string, Node> {
  const makers = new Map<string, Node>();
  for (const node of model.graph.nodes) for (const output of node.outputs) if (output) makers.set(output.name, node);
  return makers;
}
