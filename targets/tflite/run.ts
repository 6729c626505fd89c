import { UserError } from '../../src/errors.ts';
import type { GotTensor, LoadedTensor } from '../../src/target/replay.ts';
import { interpret } from './interpret/interpret.ts';
import { type ReadModel, readLite } from './read.ts';

/** Elements of a golden tensor as numbers, by element type. */
const readers: Readonly<Record<string, (buffer: ArrayBuffer) => Float32Array | Float64Array>> = {
  float32: (buffer) => new Float32Array(buffer),
  int32: (buffer) => Float64Array.from(new Int32Array(buffer)),
  int64: (buffer) => Float64Array.from(new BigInt64Array(buffer), Number),
  int8: (buffer) => Float64Array.from(new Int8Array(buffer)),
  uint8: (buffer) => Float64Array.from(new Uint8Array(buffer)),
  bool: (buffer) => Float64Array.from(new Uint8Array(buffer)),
};

const writers: Readonly<Record<string, (values: Float32Array | Float64Array) => ArrayBufferView>> = {
  float32: (values) => Float32Array.from(values),
  int32: (values) => Int32Array.from(values),
  int64: (values) => BigInt64Array.from(Array.from(values, (value) => BigInt(Math.trunc(value)))),
  int8: (values) => Int8Array.from(values),
  uint8: (values) => Uint8Array.from(values),
  bool: (values) => Uint8Array.from(values),
};

/** Element types that golden cases can be replayed in. */
export const exchangeable: readonly string[] = Object.keys(readers);

/** Runs a model file on golden inputs with the interpreter of this package. @throws UserError where file or inputs are wrong */
export function runLite(bytes: Uint8Array): (inputs: readonly LoadedTensor[]) => GotTensor[] {
  const model: ReadModel = readLite(bytes);
  return (inputs) => {
    const feeds = new Map(
      inputs.map(({ name, dtype, bytes: own }) => {
        const read = readers[dtype];
        if (!read)
          throw new UserError('tflite-input', `Input "${name}" is ${dtype}, which the interpreter does not read.`);
        return [name, read(own.slice().buffer)];
      }),
    );
    return [...interpret(model, feeds)].map(([name, { tensor, shape, values }]) => {
      const view = (writers[tensor.type] ?? ((all: Float32Array | Float64Array) => Float32Array.from(all)))(values);
      return { name, dtype: tensor.type, shape, bytes: new Uint8Array(view.buffer, view.byteOffset, view.byteLength) };
    });
  };
}
