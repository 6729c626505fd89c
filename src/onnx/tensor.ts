import { UserError } from '../errors.ts';
import { byteSize, type DType, dtypeBits, dtypeFromCode } from '../ir/dtype.ts';
import { type Tensor, typedArray } from '../ir/tensor.ts';
import type { ExternalFolder, ExternalRange } from './external.ts';
import { type Limits, limitError } from './limits.ts';
import type { Message } from './message.ts';
import { printable } from './text.ts';
import { decodeTypedData, typedDataProblem, typedField } from './typed-data.ts';

/** What reading tensors needs to know. */
export interface TensorContext {
  readonly limits: Limits;
  /** Undefined when the model came as bytes without a folder: external tensors then have no data. */
  readonly folder: ExternalFolder | undefined;
}

/** Where a tensor came from. Valid only for the tensor it was made with: copies that change something are new data. */
class TensorOrigin {
  readonly message: Message<'TensorProto'> | Message<'SparseTensorProto'>;
  readonly tensor: Tensor;
  readonly range: ExternalRange | undefined;
  constructor(message: TensorOrigin['message'], tensor: Tensor, range?: ExternalRange) {
    this.message = message;
    this.tensor = tensor;
    this.range = range;
  }
}

export function tensorOrigin(tensor: Tensor): TensorOrigin | undefined {
  const { origin } = tensor;
  return origin instanceof TensorOrigin && origin.tensor === tensor ? origin : undefined;
}

/** Decoded typed data up to this size is kept: shapes and scalars are asked for again and again. */
const keepBytes = 65536;

/** A tensor of a model file. `load` gives the data, a view where it lies in the file as it is. */
class ModelTensor implements Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly byteLength: number;
  readonly origin: TensorOrigin;
  readonly #load: () => Uint8Array;
  #kept: Uint8Array | undefined;
  constructor(
    dtype: DType,
    shape: readonly number[],
    elements: number,
    message: TensorOrigin['message'],
    load: () => Uint8Array,
    range?: ExternalRange,
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.byteLength = byteSize(dtype, elements);
    this.origin = new TensorOrigin(message, this, range);
    this.#load = load;
  }
  bytes(): Uint8Array {
    if (this.#kept) return this.#kept;
    const bytes = this.#load();
    if (bytes.byteLength <= keepBytes) this.#kept = bytes;
    return bytes;
  }
}

class StringTensor extends ModelTensor {
  readonly #strings: readonly Uint8Array[];
  constructor(shape: readonly number[], strings: readonly Uint8Array[], message: Message<'TensorProto'>) {
    super('string', shape, strings.length, message, () => new Uint8Array(0));
    this.#strings = strings;
  }
  strings(): readonly Uint8Array[] {
    return this.#strings;
  }
}

class ExternalTensor extends ModelTensor {
  chunks(): Iterable<Uint8Array> {
    const { range } = this.origin;
    return range ? range.file.pieces(range.offset, range.length) : [this.bytes()];
  }
}

/**
 * @param label names the tensor in messages
 * @throws UserError when type, shape and data do not fit together
 */
export function decodeTensor(message: Message<'TensorProto'>, label: string, context: TensorContext): Tensor {
  const dtype = decodeDType(message.data_type, label);
  const { shape, elements } = decodeDims(message.dims, label, context.limits);
  if (message.segment) throw bad(label, 'is stored in segments, which ONNX never defined further');
  if (message.data_location === 1) return externalTensor(message, dtype, shape, elements, label, context);
  if (dtype === 'string') {
    const strings = (message.string_data ?? []) as readonly Uint8Array[];
    if (strings.length !== elements) throw bad(label, `has ${strings.length} strings for ${elements} elements`);
    return new StringTensor(shape, strings, message);
  }
  const raw = message.raw_data as Uint8Array | undefined;
  const expected = byteSize(dtype, elements);
  if (raw && (raw.byteLength > 0 || expected === 0)) {
    if (raw.byteLength !== expected)
      throw bad(label, `has ${raw.byteLength} bytes of data where ${expected} belong`, dtype, shape);
    return new ModelTensor(dtype, shape, elements, message, () => raw);
  }
  const runs = message[typedField(dtype)] ?? [];
  const problem = typedDataProblem(dtype, elements, runs);
  if (problem) throw bad(label, problem, dtype, shape);
  const load = (): Uint8Array => {
    try {
      return decodeTypedData(dtype, elements, runs);
    } catch (error) {
      throw bad(label, `has damaged data (${(error as Error).message})`, dtype, shape, error);
    }
  };
  return new ModelTensor(dtype, shape, elements, message, load);
}

function externalTensor(
  message: Message<'TensorProto'>,
  dtype: DType,
  shape: readonly number[],
  elements: number,
  label: string,
  { folder }: TensorContext,
): Tensor {
  if (dtype === 'string') throw bad(label, 'is a string tensor in external data, which ONNX does not allow');
  const missing = (): never => {
    throw new UserError(
      'external-data-missing',
      `${label} keeps its data in another file, and the model was given without its folder; open it by its path.`,
    );
  };
  const range = folder?.range(message.external_data ?? [], byteSize(dtype, elements), label);
  const load = range ? () => range.file.read(range.offset, range.length) : missing;
  return new ExternalTensor(dtype, shape, elements, message, load, range);
}

function wholeNumbers(tensor: Tensor): ArrayLike<number | bigint> {
  switch (tensor.dtype) {
    case 'int8':
      return typedArray(tensor, 'int8');
    case 'int16':
      return typedArray(tensor, 'int16');
    case 'int32':
      return typedArray(tensor, 'int32');
    default:
      return typedArray(tensor, 'int64');
  }
}

/** A sparse tensor as the dense constant it stands for (ONNX IR specification, SparseTensorProto); made dense on demand. */
export function decodeSparse(message: Message<'SparseTensorProto'>, label: string, context: TensorContext): Tensor {
  if (!message.values) throw bad(label, 'is sparse and has no values');
  const values = decodeTensor(message.values, `the values of ${label}`, context);
  const { shape, elements } = decodeDims(message.dims, label, context.limits);
  const count = values.shape[0] ?? 0;
  if (values.shape.length !== 1) throw bad(label, 'is sparse and its values are no list');
  const indices = message.indices ? decodeTensor(message.indices, `the indices of ${label}`, context) : undefined;
  const linear = indices?.shape.length === 1;
  if (count > 0) {
    const width = indices?.shape[1] ?? 1;
    // ONNX Runtime writes indices in the smallest type that holds them, where the specification asks for int64.
    const whole = ['int8', 'int16', 'int32', 'int64'].includes(indices?.dtype ?? '');
    const fits = whole && indices?.shape[0] === count && (linear || width === shape.length);
    if (!fits) throw bad(label, `is sparse and its indices do not fit ${count} values of rank ${shape.length}`);
  }
  const { dtype } = values;
  if (dtypeBits(dtype) === 0 || dtypeBits(dtype) % 8 !== 0) {
    throw bad(label, `is sparse with elements of type ${dtype}, which cannot be made dense`);
  }
  const load = (): Uint8Array => {
    const size = byteSize(dtype, 1);
    if (elements * size > context.limits.denseBytes) {
      throw limitError(context.limits, 'denseBytes', label, elements * size);
    }
    const dense = new Uint8Array(elements * size);
    if (count === 0 || !indices) return dense;
    const source = values.bytes();
    const at = wholeNumbers(indices);
    const rank = linear ? 1 : shape.length;
    for (let i = 0; i < count; i++) {
      let index = 0;
      for (let axis = 0; axis < rank; axis++) {
        const extent = linear ? elements : (shape[axis] ?? 0);
        const step = Number(at[i * rank + axis]);
        if (step < 0 || step >= extent) throw bad(label, `has the index ${step} where ${extent} elements are`);
        index = index * extent + step;
      }
      dense.set(source.subarray(i * size, (i + 1) * size), index * size);
    }
    return dense;
  };
  return new ModelTensor(dtype, shape, elements, message, load);
}

function decodeDType(code: number | undefined, label: string): DType {
  const dtype = dtypeFromCode(code ?? 0);
  if (dtype) return dtype;
  const known = code ? `has the element type ${code}, which this version does not know` : 'has no element type';
  throw bad(label, known);
}

function decodeDims(
  dims: readonly bigint[] | undefined,
  label: string,
  limits: Limits,
): { readonly shape: number[]; readonly elements: number } {
  const shape: number[] = [];
  let elements = 1;
  for (const dim of dims ?? []) {
    if (dim < 0n) throw bad(label, `has the negative dimension ${dim}`);
    if (dim > limits.elements) throw limitError(limits, 'elements', `a dimension of ${label}`, dim);
    shape.push(Number(dim));
    elements *= Number(dim);
  }
  if (shape.length > limits.rank) throw limitError(limits, 'rank', label, shape.length);
  // The widest element has 16 bytes: this keeps every byte count exact.
  if (elements > limits.elements / 16) throw limitError(limits, 'elements', label, elements);
  return { shape, elements };
}

function bad(label: string, why: string, dtype?: DType, shape?: readonly number[], cause?: unknown): UserError {
  const type = dtype && shape ? ` (${dtype}[${shape.join(',')}])` : '';
  return new UserError('tensor-invalid', printable(`${label}${type} ${why}; the model file is damaged.`), { cause });
}
