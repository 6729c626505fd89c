import type { Tensor } from '../ir/tensor.ts';
import { defaultLimits } from './limits.ts';
import { readMessage } from './reader.ts';
import { decodeTensor } from './tensor.ts';

/** A file that holds one tensor (`TensorProto`), as the test data of the ONNX model zoo does. @throws UserError when it is damaged */
export function readTensorFile(bytes: Uint8Array, path: string): Tensor {
  return decodeTensor(readMessage('TensorProto', bytes, defaultLimits), path, {
    limits: defaultLimits,
    folder: undefined,
  });
}
