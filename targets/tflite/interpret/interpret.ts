import { bug, UserError } from '../../../src/errors.ts';
import { elementCount } from '../../../src/ir/tensor.ts';
import { f16ToF32 } from '../../../src/kernels/f16.ts';
import type { LiteTensor } from '../graph.ts';
import type { ReadModel } from '../read.ts';
import { kernels } from './kernels.ts';
import { type Held, type Inputs, need } from './values.ts';

/** Runs a model, operator by operator, in plain loops: to check what others will run fast. @throws UserError */
export function interpret(
  model: ReadModel,
  inputs: ReadonlyMap<string, Float32Array | Float64Array>,
): Map<string, Held> {
  const held: (Held | undefined)[] = model.tensors.map((tensor) => constantArray(tensor));
  for (const at of model.inputs) {
    const tensor = tensorAt(model, at);
    const values = inputs.get(tensor.name);
    if (values?.length !== elementCount(tensor.shape)) {
      throw new UserError(
        'tflite-input',
        `Input "${tensor.name}" needs ${elementCount(tensor.shape)} elements and got ${values?.length ?? 0}.`,
      );
    }
    held[at] = { tensor, shape: tensor.shape, values };
  }
  const last = lastUses(model);
  for (const [step, op] of model.ops.entries()) {
    const kernel = kernels[op.code];
    if (!kernel) throw new UserError('tflite-kernel', `The interpreter has no kernel for ${op.code}.`);
    const given = op.inputs.map((at) => (at < 0 ? undefined : held[at]));
    const [out] = op.outputs;
    const tensor = tensorAt(model, out ?? 0);
    const values = kernel(given as unknown as Inputs, tensor, op.options?.value ?? {});
    if (values.length !== elementCount(tensor.shape)) {
      throw new UserError(
        'tflite-shape',
        `${op.code} gives ${values.length} elements for "${tensor.name}", which is [${tensor.shape.join(', ')}].`,
      );
    }
    held[out ?? 0] = { tensor, shape: tensor.shape, values };
    for (const at of op.inputs) if (last.get(at) === step) held[at] = undefined;
  }
  return new Map(model.outputs.map((at) => [tensorAt(model, at).name, need(held[at])]));
}

function tensorAt(model: ReadModel, at: number): LiteTensor {
  return model.tensors[at] ?? bug(`TensorFlow Lite tensor ${at} was not checked`);
}

/** The step after which a tensor that an operator made is no longer read. */
function lastUses(model: ReadModel): Map<number, number> {
  const last = new Map<number, number>();
  for (const [step, op] of model.ops.entries())
    for (const at of op.inputs) if (!model.tensors[at]?.data) last.set(at, step);
  for (const at of model.outputs) last.delete(at);
  return last;
}

function constantArray(tensor: LiteTensor): Held | undefined {
  const { data, type, shape } = tensor;
  if (!data) return undefined;
  const buffer = data.slice().buffer;
  const values = (): Float32Array | Float64Array => {
    switch (type) {
      case 'float32':
        return new Float32Array(buffer);
      case 'float16':
        return f16ToF32(new Uint16Array(buffer));
      case 'int32':
        return Float64Array.from(new Int32Array(buffer));
      case 'int64':
        return Float64Array.from(new BigInt64Array(buffer), Number);
      case 'int8':
        return Float64Array.from(new Int8Array(buffer));
      case 'int16':
        return Float64Array.from(new Int16Array(buffer));
      case 'float64':
        return new Float64Array(buffer);
      default:
        return Float64Array.from(data);
    }
  };
  return { tensor, shape, values: values() };
}
