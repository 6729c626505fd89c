import * as ort from 'onnxruntime-node';
import { cloneModel } from '../../src/ir/clone.ts';
import { substituteDim, symbolsOf } from '../../src/ir/dim.ts';
import type { DType } from '../../src/ir/dtype.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { type Inferred, inferShapes } from '../../src/ir/infer/infer.ts';
import type { Dim, Shape } from '../../src/ir/types.ts';
import { encodeModel } from '../../src/onnx/encode.ts';

export type Binding = Readonly<Record<string, number>>;
/** Makes the data of one input: element `index` of the input `name`. */
export type Fill = (name: string, index: number) => number;

export interface Truth {
  readonly values: number;
  /** Values whose element type and every dimension is known (numbers and expressions of input symbols). */
  readonly full: number;
  /** What does not agree with what ONNX Runtime did. */
  readonly wrong: string[];
  /** Values of which something is not known. */
  readonly open: string[];
}

/** Infers, then runs the model with every tensor of the main graph as an output, and compares. */
export async function compareWithRuntime(model: Model, binding: Binding, fill: Fill): Promise<Truth> {
  const copy = cloneModel(model);
  const inferred = inferShapes(copy);
  const { graph } = copy;
  const values: Value[] = [];
  for (const node of graph.nodes) for (const value of node.outputs) if (value) values.push(value);
  const before = new Set(graph.outputs);
  // The runtime must not see what we inferred: it would check against it.
  for (const value of values) {
    const type = inferred.types.get(value);
    const isTensor = type === undefined || type.kind === 'tensor';
    if (!before.has(value)) value.type = type?.kind === 'tensor' ? { kind: 'tensor', dtype: type.dtype } : undefined;
    if (!before.has(value) && isTensor) graph.addOutput(value);
  }
  const session = await ort.InferenceSession.create(encodeModel(copy), {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run(feedsOf(copy, binding, fill));
    return judge(values, inferred, results, new Map(Object.entries(binding)));
  } finally {
    await session.release();
  }
}

function judge(
  values: readonly Value[],
  inferred: Inferred,
  results: ort.InferenceSession.OnnxValueMapType,
  binding: ReadonlyMap<string, number>,
): Truth {
  const wrong: string[] = [];
  const open: string[] = [];
  let full = 0;
  let count = 0;
  // Names we gave to unknown extents: bound where they first stand alone, then held to it.
  const bound = new Map<string, number>(binding);
  for (const value of values) {
    const actual = results[value.name];
    if (!actual?.dims) continue;
    count++;
    const type = inferred.types.get(value);
    const label = `${value.name} (${value.producer})`;
    const shape = type?.kind === 'tensor' ? type.shape : undefined;
    if (type?.kind === 'tensor' && type.dtype !== typeNames[actual.type]) {
      wrong.push(`${label}: ${type.dtype}, really ${actual.type}`);
    }
    if (!shape) {
      open.push(`${label}: no shape, really [${actual.dims}]`);
      continue;
    }
    const problem = compare(shape, actual.dims, bound);
    if (problem) wrong.push(`${label}: [${shape}] is [${problem}], really [${actual.dims}]`);
    const data = inferred.data.get(value);
    const dataProblem = data && compareData(data.items, actual, bound);
    if (dataProblem) wrong.push(`${label}: elements ${dataProblem}`);
    if (shape.some((dim) => [...symbolsOf(dim)].some((symbol) => /^unknown_\d+$/.test(symbol)))) {
      open.push(`${label}: [${shape}], really [${actual.dims}]`);
    } else full++;
  }
  return { values: count, full, wrong, open };
}

function compare(shape: Shape, actual: readonly number[], bound: Map<string, number>): string | undefined {
  if (shape.length !== actual.length) return `rank ${shape.length}`;
  for (const [axis, dim] of shape.entries()) {
    if (typeof dim === 'string' && /^unknown_\d+$/.test(dim) && !bound.has(dim)) bound.set(dim, actual[axis] as number);
  }
  const concrete = shape.map((dim) => substituteDim(dim, bound));
  const fits = concrete.every((dim, axis) => (typeof dim === 'number' ? dim === actual[axis] : dim !== undefined));
  return fits ? undefined : concrete.join(',');
}

function compareData(
  items: readonly Dim[],
  actual: ort.Tensor,
  bound: ReadonlyMap<string, number>,
): string | undefined {
  for (const [index, item] of items.entries()) {
    const known = substituteDim(item, bound);
    const real = Number((actual.data as ArrayLike<number | bigint | boolean>)[index]);
    const same = typeof known !== 'number' || known === real || Math.abs(known - real) <= 1e-6 * Math.abs(real);
    if (!same && !(Math.abs(real) > Number.MAX_SAFE_INTEGER)) return `[${index}] ${item} = ${known}, really ${real}`;
  }
  return undefined;
}

const typeNames: Readonly<Record<string, DType>> = {
  float32: 'float32',
  float64: 'float64',
  float16: 'float16',
  int8: 'int8',
  uint8: 'uint8',
  int16: 'int16',
  uint16: 'uint16',
  int32: 'int32',
  uint32: 'uint32',
  int64: 'int64',
  uint64: 'uint64',
  bool: 'bool',
  string: 'string',
};

function feedsOf(model: Model, binding: Binding, fill: Fill): Record<string, ort.Tensor> {
  const feeds: Record<string, ort.Tensor> = {};
  const bound = new Map(Object.entries(binding));
  for (const input of model.graph.inputs) {
    if (input.initializer || input.type?.kind !== 'tensor') continue;
    const shape = (input.type.shape ?? []).map((dim, axis) => {
      const size = dim === undefined ? binding[`${input.name}.${axis}`] : substituteDim(dim, bound);
      if (typeof size !== 'number') throw new Error(`bind ${input.name}.${axis} (${dim})`);
      return size;
    });
    const count = shape.reduce((a, b) => a * b, 1);
    const numbers = Array.from({ length: count }, (_, index) => fill(input.name, index));
    feeds[input.name] = makeTensor(input.type.dtype, numbers, shape);
  }
  return feeds;
}

function makeTensor(dtype: DType, numbers: readonly number[], shape: readonly number[]): ort.Tensor {
  switch (dtype) {
    case 'float32':
      return new ort.Tensor('float32', Float32Array.from(numbers), shape);
    case 'float64':
      return new ort.Tensor('float64', Float64Array.from(numbers), shape);
    case 'int64':
      return new ort.Tensor(
        'int64',
        BigInt64Array.from(numbers, (value) => BigInt(Math.trunc(value))),
        shape,
      );
    case 'int32':
      return new ort.Tensor('int32', Int32Array.from(numbers), shape);
    case 'uint8':
      return new ort.Tensor('uint8', Uint8Array.from(numbers), shape);
    case 'int8':
      return new ort.Tensor('int8', Int8Array.from(numbers), shape);
    case 'bool':
      return new ort.Tensor(
        'bool',
        Uint8Array.from(numbers, (value) => Number(value > 0)),
        shape,
      );
    case 'float16':
      return new ort.Tensor('float16', new Uint16Array(numbers.length), shape);
    default:
      throw new Error(`no test data of type ${dtype}`);
  }
}
