import type { Model, Node } from '../../../src/ir/graph.ts';
import type { OptionTable, OptionValues } from '../../../src/pass/options.ts';
import type { Pass, PassContext } from '../../../src/pass/pass.ts';
import { Recorder } from '../../../src/pass/recorder.ts';
import type { CpuProfile } from '../cpu.ts';
import { quantizeDynamic } from '../quantize-dynamic.ts';
import { quantizeStatic } from '../quantize-static.ts';
import { quantizeWeights } from '../quantize-weights.ts';
import { toFp16 } from '../to-fp16.ts';
import { findLayers } from './layers.ts';

/** What a layer can be stored and computed in, beside float32. In the order in which the passes run. */
export const formatNames = ['int8', 'int8-dynamic', 'int8-weights', 'int4', 'fp16'] as const;
export type FormatName = (typeof formatNames)[number];

export interface FormatOptions {
  readonly calibrate: OptionValues<(typeof quantizeStatic)['options']>['calibrate'];
  readonly cpu: CpuProfile;
  /** `all`: what is slower on integers is put there all the same. */
  readonly place: OptionValues<(typeof quantizeStatic)['options']>['place'];
  /** How codes of static int8 weights are chosen; plain rounding where nothing is said. */
  readonly weights?: OptionValues<(typeof quantizeStatic)['options']>['weights'];
  readonly block: OptionValues<(typeof quantizeWeights)['options']>['block'];
  readonly method: OptionValues<(typeof quantizeWeights)['options']>['method'];
}

/** MatMulNBits, and on WebAssembly, where that takes 11 to 15 times as long as float32, blocks that are expanded once at load. */
const blockForm = (cpu: CpuProfile): 'qdq' | 'matmul-nbits' => (cpu === 'wasm' ? 'qdq' : 'matmul-nbits');

/** What a layer in a format is called where its speed is looked up. */
export const kernelOf = (format: FormatName, cpu: CpuProfile): string =>
  format === 'int4' && blockForm(cpu) === 'qdq' ? 'int4-dq' : format;

/** What became of a model, or of one layer alone. */
export interface FormatResult {
  readonly changed: boolean;
  /** Nodes that rules fired at, by the rule. */
  readonly applied: readonly { readonly rule: string; readonly outputs: readonly string[] }[];
  /** Why nodes stayed as they are. */
  readonly skipped: readonly string[];
}

/** Brings a model into one format, all but the layers named. @param keep ids of layers */
export async function applyFormat(
  model: Model,
  format: FormatName,
  keep: readonly string[],
  options: FormatOptions,
  ctx: PassContext,
): Promise<FormatResult> {
  const { calibrate, cpu, place, weights = 'minmax', block, method } = options;
  switch (format) {
    case 'int8':
      return await runPass(quantizeStatic, { calibrate, cpu, place, weights, keep }, model, ctx);
    case 'int8-dynamic':
      return await runPass(quantizeDynamic, { cpu, keep }, model, ctx);
    case 'int8-weights':
    case 'int4':
      return await runPass(
        quantizeWeights,
        {
          bits: format === 'int4' ? 4 : 8,
          symmetric: false,
          format: blockForm(cpu),
          block,
          method,
          keep,
          layer: format === 'int4' ? productsOf(model, keep) : [],
        },
        model,
        ctx,
      );
    case 'fp16':
      return await runPass(toFp16, { keep }, model, ctx);
  }
}

/** Here 4 bits are 4 bits, for an output layer that shares its table too: what that costs was measured, and 8 bits are another format. */
function productsOf(model: Model, keep: readonly string[]): string[] {
  const layers = findLayers(model, new Set()).filter(({ node }) => node.is('MatMul') || node.is('Gemm'));
  return layers.flatMap(({ id }) => (keep.includes(id) ? [] : [`${id}=4`]));
}

async function runPass<T extends OptionTable>(
  pass: Pass<T>,
  given: Partial<OptionValues<T>>,
  model: Model,
  ctx: PassContext,
): Promise<FormatResult> {
  const recorder = new Recorder();
  const applied: { rule: string; outputs: readonly string[] }[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(pass.options))
    values[name] = (given as Record<string, unknown>)[name] ?? option.default;
  const { changed } = await pass.run(model, values as OptionValues<T>, {
    ...ctx,
    applied: (rule: string, node: Node | string) => {
      // Taken now: a rewrite may remove the node afterwards, but names of outputs stay.
      const outputs = typeof node === 'string' ? [] : node.outputs.flatMap((output) => output?.name ?? []);
      applied.push({ rule, outputs });
    },
    skipped: recorder.skipped.bind(recorder),
  });
  return { changed, applied, skipped: recorder.skips.map(({ why }) => why) };
}
