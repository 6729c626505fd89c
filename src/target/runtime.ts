import { ceilingOf, minorOf } from '../ir/ceilings.ts';
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

/**
 * Sentences on why ONNX Runtime `version` would refuse the model or could not be fed; empty when nothing stands against it.
 * @param version of the runtime that loads the bundle's model, where it is not the one that bundles ship.
 */
export function runtimeObjections(artifact: Artifact, version: string = ortVersion): string[] {
  const minor = minorOf(version);
  const ceiling = minor === undefined ? undefined : ceilingOf(minor);
  if (!ceiling) return [`"${version}" is no version of ONNX Runtime that is known here, such as 1.27.`];
  const because: string[] = [];
  if (artifact.irVersion > ceiling.irVersion) {
    because.push(
      `The model has IR version ${artifact.irVersion}; ONNX Runtime ${version} reads up to ${ceiling.irVersion}.`,
    );
  }
  const opset = artifact.opsets[''] ?? artifact.opsets['ai.onnx'];
  if (opset !== undefined && opset > ceiling.opset) {
    because.push(`The model uses opset ${opset}; ONNX Runtime ${version} supports up to ${ceiling.opset}.`);
  }
  for (const [role, values] of [
    ['Input', artifact.inputs],
    ['Output', artifact.outputs],
  ] as const) {
    for (const { name, dtype } of values) {
      if (!exchangeable.has(dtype)) {
        because.push(
          `${role} "${name}" is ${dtype}, which ONNX Runtime's JavaScript API cannot exchange${dtype === 'non-tensor' ? ' (scores as maps: mlpack tensor-outputs makes them a tensor)' : ''}.`,
        );
      }
    }
  }
  return because;
}
