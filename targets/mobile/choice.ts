import { replayConfig } from './convert.ts';
import type { Usability } from './usability.ts';

/** The file that an app of one platform packs, and how it loads it. */
export interface PlatformChoice {
  readonly path: string;
  readonly provider: 'cpu' | 'xnnpack' | 'coreml';
  /** Core ML format where the provider is, or may be made, Core ML. */
  readonly coremlFormat: 'MLProgram' | 'NeuralNetwork';
  readonly config: Readonly<Record<string, string>>;
}

/** Session config that goes with a file: saved optimizations are replayed only where the app asks for it. */
export function configFor(path: string): Readonly<Record<string, string>> {
  return path.includes('.with_runtime_opt.') ? replayConfig : {};
}

/**
 * Android starts with XNNPACK where it takes most of the work, else with the CPU: NNAPI is deprecated and QNN a package of
 * its own, so neither is chosen unasked. iOS starts with Core ML where the verdict is yes.
 */
export function chooseFor(platform: 'android' | 'ios', report: Usability, fallback: string): PlatformChoice {
  const of = (id: string) => report.providers.find((provider) => provider.id === id);
  const [program, network, xnnpack] = [of('coreml-mlprogram'), of('coreml-neuralnetwork'), of('xnnpack')];
  const coremlFormat = program?.verdict !== 'yes' && network?.verdict === 'yes' ? 'NeuralNetwork' : 'MLProgram';
  const coreml = coremlFormat === 'MLProgram' ? program : network;
  if (platform === 'ios' && coreml?.verdict === 'yes' && coreml.use !== null) {
    return { path: coreml.use, provider: 'coreml', coremlFormat, config: configFor(coreml.use) };
  }
  const fast = xnnpack?.verdict === 'yes' && xnnpack.use !== null;
  const path = (fast && xnnpack.use) || fallback;
  return { path, provider: fast ? 'xnnpack' : 'cpu', coremlFormat, config: configFor(path) };
}
