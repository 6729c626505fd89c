import { UserError } from '../../src/errors.ts';
import type { Model } from '../../src/ir/graph.ts';
import type { GoldenCase, SaveRequest, Workshop } from '../../src/target/target.ts';
import { operatorsConfig } from './operators.ts';
import { canonicalOrt, type OrtNode, ortNodes, readOrt } from './ort-model.ts';

export type Platform = 'arm' | 'amd64' | 'any';

export interface Converted {
  /** Optimized once, here: for the CPU provider and XNNPACK. */
  readonly fixed: Uint8Array;
  /** Basic optimizations here; the others are saved and applied on the device to what CoreML or NNAPI left over. */
  readonly runtime?: Uint8Array;
  /** Why there is no runtime-optimized form. */
  readonly why?: string;
  /** `required_operators.config` and its kin, by name. */
  readonly configs: Readonly<Record<string, string>>;
}

/** Session config that an app must set so that the optimizations saved in a runtime-optimized file are applied. */
export const replayConfig: Readonly<Record<string, string>> = { 'session.enable_saved_runtime_optimizations': '1' };

/**
 * Both forms of the ORT format, with the settings of `onnxruntime.tools.convert_onnx_models_to_ort` 1.30: level all; without
 * NchwcTransformer, which makes a file that fits the converting machine only, unless the platform is amd64.
 * @param cases golden cases that the files must answer
 * @param name stem of the file names: `model` gives `model.ort`
 */
export async function convertToOrt(
  workshop: Workshop,
  {
    name,
    platform,
    cases,
    of,
  }: { name: string; platform: Platform; cases: readonly GoldenCase[]; of?: Model | undefined },
): Promise<Converted> {
  const int8 = { 'session.qdqisint8allowed': platform === 'arm' ? '1' : '0' };
  const request = (mode: 'save' | 'apply' | undefined): SaveRequest => {
    return {
      format: 'ort',
      level: 'all',
      config: {
        ...int8,
        ...(platform !== 'amd64' && { 'optimization.disable_specified_optimizers': 'NchwcTransformer' }),
        ...(mode && { 'optimization.minimal_build_optimizations': mode }),
      },
    };
  };
  const fixed = readOrt(await workshop.saved(request(undefined), of));
  const later = await convertForReplay(workshop, request, { cases, of });
  const files = { fixed: [`${name}.ort`], runtime: [`${name}.with_runtime_opt.ort`] };
  const nodes = ortNodes(fixed);
  return {
    fixed: canonicalOrt(fixed),
    ...later,
    configs: {
      'required_operators.config': operatorsConfig(nodes, files.fixed, false),
      'required_operators_and_types.config': operatorsConfig(nodes, files.fixed, true),
      ...(later.nodes && {
        'required_operators.with_runtime_opt.config': operatorsConfig(later.nodes, files.runtime, false),
        'required_operators_and_types.with_runtime_opt.config': operatorsConfig(later.nodes, files.runtime, true),
      }),
    },
  };
}

/**
 * The runtime-optimized form, tried out with replay switched on. ONNX Runtime 1.30 fails at it for some quantized models
 * (it makes nodes that it then refuses, when saving or when replaying; the official converter fails there, too).
 */
async function convertForReplay(
  workshop: Workshop,
  request: (mode: 'save' | 'apply') => SaveRequest,
  { cases, of }: { cases: readonly GoldenCase[]; of: Model | undefined },
): Promise<{ runtime?: Uint8Array; nodes?: OrtNode[]; why?: string }> {
  try {
    const saved = readOrt(await workshop.saved(request('save'), of));
    const runtime = canonicalOrt(saved);
    // Saved optimizations may or may not be applied on the device: the build needs the operators of both outcomes.
    const applied = readOrt(await workshop.saved(request('apply'), of));
    const why = await workshop.problem(runtime, replayConfig, cases);
    if (why !== undefined) return { why };
    return { runtime, nodes: [...ortNodes(saved), ...ortNodes(applied)] };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { why: error.message };
  }
}
