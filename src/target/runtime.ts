import { runtimeCeilings } from '../onnx/ceilings.ts';
import type { Artifact } from './target.ts';

/** The ONNX Runtime release that bundles ship. */
export const ortVersion = '1.30.0';

/** Element types that ONNX Runtime's JavaScript API takes and gives as inputs and outputs. */
const exchangeable: ReadonlySet<string> = new Set([
  'float32',
  'float64',
  'float16',
  'int8',
  'int16',
  'int32',
  'int64',
  'uint8',
  'uint16',
  'uint32',
  'uint64',
  'bool',
  'string',
]);

/** Sentences on why ONNX Runtime `ortVersion` would refuse the model or could not be fed; empty when nothing stands against it. */
export function runtimeObjections(artifact: Artifact): string[] {
  const because: string[] = [];
  const { runtime, irVersion, opsets } = runtimeCeilings;
  if (artifact.irVersion > irVersion) {
    because.push(`The model has IR version ${artifact.irVersion}; ${runtime} reads up to ${irVersion}.`);
  }
  for (const [domain, version] of Object.entries(artifact.opsets)) {
    const limit = opsets.get(domain === 'ai.onnx' ? '' : domain);
    if (limit !== undefined && version > limit) {
      because.push(`The model uses opset ${version} of "${domain || 'ai.onnx'}"; ${runtime} supports up to ${limit}.`);
    }
  }
  for (const [role, values] of [
    ['Input', artifact.inputs],
    ['Output', artifact.outputs],
  ] as const) {
    for (const { name, dtype } of values) {
      if (!exchangeable.has(dtype)) {
        because.push(`${role} "${name}" is ${dtype}, which ONNX Runtime's JavaScript API cannot exchange.`);
      }
    }
  }
  return because;
}
