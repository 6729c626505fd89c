import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { defaultLimits } from './limits.ts';
import { readMessage } from './reader.ts';
import { decodeTensor } from './tensor.ts';

/** A file that holds one tensor (`TensorProto`), as the test data of the ONNX model zoo does. @throws UserError when it is damaged */
export function readTensorFile(bytes: Uint8Array, path: string): Tensor {
  try {
    const message = readMessage('TensorProto', bytes, defaultLimits);
    return decodeTensor(message, path, { limits: defaultLimits, folder: undefined });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError('tensor-file', `${path} holds no sound tensor (TensorProto): ${error.message}`, {
      cause: error,
    });
  }
}
