import { UserError } from '../../src/errors.ts';
import { elementCount } from '../../src/ir/tensor.ts';
import type { GotTensor, LoadedTensor } from '../../src/target/replay.ts';
import type { Ref } from './graph.ts';
import { kernels } from './interpret/kernels.ts';
import { type Held, Parameters, rounded } from './interpret/values.ts';
import { type ReadProgram, readProgram } from './read.ts';

/** Keys of facts in a model's metadata. */
export const facts = {
  name: (name: string) => `onnx.name.${name}`,
  dtype: (name: string) => `onnx.type.${name}`,
} as const;

const readers: Readonly<Record<string, (buffer: ArrayBuffer) => Float32Array | Int32Array>> = {
  float32: (buffer) => new Float32Array(buffer),
  int32: (buffer) => new Int32Array(buffer),
  int64: (buffer) => Int32Array.from(new BigInt64Array(buffer), Number),
};

const writers: Readonly<Record<string, (values: ArrayLike<number>) => ArrayBufferView>> = {
  float32: (values) => Float32Array.from(values),
  int32: (values) => Int32Array.from(values),
  int64: (values) => BigInt64Array.from(Array.from(values, (value) => BigInt(value))),
  bool: (values) => Uint8Array.from(values),
};

/** Element types of inputs and of outputs that golden cases can be replayed in. */
export const takes: readonly string[] = Object.keys(readers);
export const gives: readonly string[] = Object.keys(writers);

/**
 * Runs a program on golden inputs, operation by operation in plain loops, by what coremltools says that they compute: no Apple code is involved.
 * @throws UserError where the files or the inputs are wrong
 */
export function runCoreml(model: Uint8Array, weights: Uint8Array): (inputs: readonly LoadedTensor[]) => GotTensor[] {
  const program = readProgram(model, weights);
  return (inputs) => {
    const held = new Map<string, Held | string>();
    for (const ref of program.inputs) held.set(ref.name, inputOf(program, ref, inputs));
    for (const op of program.ops) execute(op, held);
    return program.outputs.map((ref) => {
      const { shape, values } = held.get(ref.name) as Held;
      const dtype = program.facts[facts.dtype(ref.name)] ?? (ref.type === 'int32' ? 'int32' : 'float32');
      const view = (writers[dtype] ?? Float32Array.from.bind(Float32Array))(values);
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      return { name: program.facts[facts.name(ref.name)] ?? ref.name, dtype, shape, bytes };
    });
  };
}

function inputOf({ facts: known }: ReadProgram, ref: Ref, inputs: readonly LoadedTensor[]): Held {
  const name = known[facts.name(ref.name)] ?? ref.name;
  const given = inputs.find((input) => input.name === name);
  const read = readers[given?.dtype ?? ''];
  if (!given || !read || given.shape.join() !== ref.shape.join())
    throw new UserError(
      'coreml-input',
      `Input "${name}" needs [${ref.shape.join(', ')}] and got ${given ? `${given.dtype} [${given.shape.join(', ')}]` : 'nothing'}.`,
    );
  return { shape: ref.shape, values: read(given.bytes.slice().buffer) };
}

function execute({ type, inputs, outputs }: ReadProgram['ops'][number], held: Map<string, Held | string>): void {
  const [first] = outputs;
  if (type === 'const' && first?.data !== undefined) {
    held.set(first.name, typeof first.data === 'string' ? first.data : { shape: first.shape, values: first.data });
    return;
  }
  const kernel = kernels[type];
  if (!kernel) throw new UserError('coreml-kernel', `The interpreter has no kernel for ${type}.`);
  const given = Object.entries(inputs).map(([key, refs]) => [
    key,
    refs.map(({ name }) => held.get(name) as Held | string),
  ]);
  const made = kernel(new Parameters(Object.fromEntries(given)));
  const results: readonly Held[] = 'shape' in made ? [made] : made;
  for (const [i, ref] of outputs.entries()) {
    const { shape, values } = results[i] ?? { shape: [Number.NaN], values: new Float64Array() };
    if (
      shape.join() !== ref.shape.join() ||
      shape.length !== ref.shape.length ||
      values.length !== elementCount(ref.shape)
    )
      throw new UserError(
        'coreml-shape',
        `${type} gives [${shape.join(', ')}] for "${ref.name}", which is declared as [${ref.shape.join(', ')}].`,
      );
    held.set(ref.name, { shape, values: rounded(ref.type, values) });
  }
}
