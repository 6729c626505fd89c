import { runtimeCeilings } from '../ir/ceilings.ts';
import type { Artifact } from './target.ts';

/** The ONNX Runtime release that bundles ship. */
export const ortVersion = '1.30.0';

/** What that release loads. */
const maxIrVersion = runtimeCeilings.irVersion;
const maxOpset = runtimeCeilings.opsets.get('') ?? 0;

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
  if (artifact.irVersion > maxIrVersion) {
    because.push(
      `The model has IR version ${artifact.irVersion}; ONNX Runtime ${ortVersion} reads up to ${maxIrVersion}.`,
    );
  }
  const opset = artifact.opsets[''] ?? artifact.opsets['ai.onnx'];
  if (opset !== undefined && opset > maxOpset) {
    because.push(`The model uses opset ${opset}; ONNX Runtime ${ortVersion} supports up to ${maxOpset}.`);
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
