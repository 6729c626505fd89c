import { UserError } from '../../src/errors.ts';
import { int, tensor as tensorAttr } from '../../src/ir/attr.ts';
import { type DType, dtypeCode } from '../../src/ir/dtype.ts';
import type { Model, Node, Value } from '../../src/ir/graph.ts';
import { computedTensor, type Tensor, typedArray } from '../../src/ir/tensor.ts';
import type { ValueType } from '../../src/ir/types.ts';
import { bf16ToF32 } from '../../src/kernels/bf16.ts';
import { f16ToF32 } from '../../src/kernels/f16.ts';
import { opt } from '../../src/pass/options.ts';
import { definePass, lossy } from '../../src/pass/pass.ts';
import { ElementTypes } from './fp16/element-types.ts';

const others: readonly DType[] = ['float64', 'float16', 'bfloat16'];

const options = {
  from: opt.list(others, 'element types that become float32'),
} as const;

/** Attributes that name an element type by its number. */
const typeAttributes = new Set(['to', 'dtype', 'output_datatype', 'output_dtype']);
/** LayerNormalization and others compute in the type that this names: float32 already, or what is float32 now. */
const innerType = 'stash_type';
const largest = 3.4028234663852886e38;

/** Every float64, float16 and bfloat16 of a model in float32: for runtimes and passes that know no other floats. */
export const toFp32 = definePass({
  id: 'to-fp32',
  summary:
    'Float32 for what is float64, float16 or bfloat16, inputs and outputs too: models that runtimes and quantizers take',
  options,
  rules: {
    constant: 'A constant is stored in float32',
    type: 'A value, an input or an output becomes float32',
    clamp: 'Numbers beyond the range of float32 become its largest',
    trees: 'Operators of ai.onnx.ml that take float64 keep it, and so does the model',
    bits: 'A BitCast from or to such a type needs its bits, and so the model stays as it is',
    nothing: 'Models without such values stay as they are',
  },
  // From halves the weights are the same numbers and sums are more exact: what differs is the rounding of the half model, 2⁻¹¹ or
  // 2⁻⁹ an operation (20 dB as for to-bf16). From float64 it is 2⁻²⁴.
  numerics: () => lossy(20),
  run(model, given, ctx) {
    const from = chooseTypes(given.from);
    const trees = treesOn(model, from);
    if (trees) {
      ctx.skipped(
        'trees',
        trees,
        'its float64 attributes are part of what it computes, so the whole model keeps float64',
      );
      return { changed: false };
    }
    const bits = bitsOf(model, from);
    if (bits) {
      ctx.skipped(
        'bits',
        bits,
        'it takes the bits of a number apart, which are others in float32: the model stays as it is',
      );
      return { changed: false };
    }
    let changed = false;
    const stored = (tensor: Tensor, name: string): Tensor => {
      if (!from.has(tensor.dtype)) return tensor;
      changed = true;
      ctx.applied('constant', name, tensor.dtype);
      if (
        tensor.dtype === 'float64' &&
        typedArray(tensor, 'float64').some((one) => Number.isFinite(one) && Math.abs(one) > largest)
      )
        ctx.applied('clamp', name);
      return computedTensor('float32', tensor.shape, () => bytesOf(numbersOf(tensor)));
    };
    const retype = (value: Value): void => {
      const type = value.type && typeIn32(value.type, from);
      if (type === undefined || type === value.type) return;
      value.type = type;
      value.origin = undefined;
      changed = true;
      if (value.isGraphInput || value.isGraphOutput) ctx.applied('type', `"${value.name}"`);
    };
    for (const graph of model.graphs()) {
      for (const value of [...graph.initializers]) {
        const tensor = value.initializer;
        const better = tensor && stored(tensor, `"${value.name}"`);
        if (better !== undefined && better !== tensor) graph.setInitializer(value, better);
        retype(value);
      }
      for (const value of graph.inputs) retype(value);
      for (const node of graph.nodes) {
        if (changeAttributes(node, from, stored)) changed = true;
        for (const value of node.outputs) if (value) retype(value);
      }
    }
    if (!changed) ctx.skipped('nothing', 'model', `it holds no ${[...from].join(', ')}`);
    return { changed };
  },
});

/** @throws UserError for a type that is none of those */
function chooseTypes(asked: readonly string[]): ReadonlySet<DType> {
  const unknown = asked.find((name) => !others.some((dtype) => dtype === name));
  if (unknown !== undefined)
    throw new UserError('option.value', `--from names "${unknown}"; there are ${others.join(', ')}.`);
  return new Set(others.filter((dtype) => asked.includes(dtype)));
}

/** An operator of ai.onnx.ml with float64 in its attributes. */
function treesOn(model: Model, from: ReadonlySet<DType>): Node | undefined {
  if (!from.has('float64')) return undefined;
  for (const graph of model.graphs())
    for (const node of graph.nodes)
      if (node.domain === 'ai.onnx.ml')
        for (const attr of node.attrs.values())
          if (attr.type === 'tensor' && attr.value.dtype === 'float64') return node;
  return undefined;
}

/** A BitCast (opset 26) from or to one of the types. */
function bitsOf(model: Model, from: ReadonlySet<DType>): Node | undefined {
  const codes = new Set([...from].map((dtype) => dtypeCode(dtype)));
  let types: ElementTypes | undefined;
  for (const graph of model.graphs())
    for (const node of graph.nodes) {
      if (!node.is('BitCast')) continue;
      types ??= new ElementTypes(model);
      const dtype = types.of(node.input(0));
      if (codes.has(node.int('to', 0)) || from.has(dtype as DType)) return node;
    }
  return undefined;
}

/** Tensors among the attributes, and those that name a type. @returns whether a type was changed (`stored` tells of tensors) */
function changeAttributes(
  node: Node,
  from: ReadonlySet<DType>,
  stored: (tensor: Tensor, name: string) => Tensor,
): boolean {
  const codes = new Set([...from].map((dtype) => dtypeCode(dtype)));
  let changed = false;
  for (const [name, attr] of [...node.attrs]) {
    if (attr.type === 'tensor') {
      const better = stored(attr.value, `${node}`);
      if (better !== attr.value) node.attrs.set(name, tensorAttr(better));
    } else if (
      attr.type === 'int' &&
      (typeAttributes.has(name) || name === innerType) &&
      codes.has(Number(attr.value))
    ) {
      node.attrs.set(name, int(dtypeCode('float32')));
      changed = true;
    }
  }
  return changed;
}

/** The same type with float32 in it; the very same object where nothing changes. */
function typeIn32(type: ValueType, from: ReadonlySet<DType>): ValueType {
  if (type.kind === 'tensor' || type.kind === 'sparse_tensor')
    return from.has(type.dtype) ? { ...type, dtype: 'float32' } : type;
  if (type.kind === 'sequence' || type.kind === 'optional') {
    const element = typeIn32(type.element, from);
    return element === type.element ? type : { ...type, element };
  }
  if (type.kind === 'map') {
    const value = typeIn32(type.value, from);
    return value === type.value ? type : { ...type, value };
  }
  return type;
}

function numbersOf(tensor: Tensor): Float32Array {
  if (tensor.dtype === 'float16') return f16ToF32(typedArray(tensor, 'float16'));
  if (tensor.dtype === 'bfloat16') return bf16ToF32(typedArray(tensor, 'bfloat16'));
  // Infinity is meant where it stands; a finite number must not become one (minus 1e300 in a mask, a row of them would be NaN).
  return Float32Array.from(typedArray(tensor, 'float64'), (one) =>
    Number.isFinite(one) ? Math.min(largest, Math.max(-largest, one)) : one,
  );
}

function bytesOf(numbers: Float32Array): Uint8Array {
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}
