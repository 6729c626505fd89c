import type { Attr } from '../../../src/ir/attr.ts';
import type { Model } from '../../../src/ir/graph.ts';
import type { Tensor } from '../../../src/ir/tensor.ts';

/** Takes away everything the codec remembers, so that the model is written from the IR alone. */
export function forgetOrigins(model: Model): void {
  model.origin = undefined;
  for (const graph of model.graphs()) {
    graph.origin = undefined;
    for (const value of graph.inputs) value.origin = undefined;
    for (const value of graph.initializers) {
      value.origin = undefined;
      const type = value.type;
      if (value.initializer) graph.attachInitializer(value, bare(value.initializer));
      value.type = type;
    }
    for (const node of graph.nodes) {
      node.origin = undefined;
      for (const value of node.outputs) if (value) value.origin = undefined;
      for (const [name, attr] of node.attrs) node.attrs.set(name, bareAttr(attr));
    }
  }
  for (const [index, fn] of model.functions.entries()) model.functions[index] = { ...fn, origin: undefined };
}

function bareAttr(attr: Attr): Attr {
  if (attr.type === 'opaque') return attr;
  const copy = { ...attr, origin: undefined };
  if (copy.type === 'tensor') return { ...copy, value: bare(copy.value) };
  if (copy.type === 'tensors') return { ...copy, value: copy.value.map(bare) };
  return copy;
}

function bare(tensor: Tensor): Tensor {
  const { dtype, shape, byteLength } = tensor;
  const copy = { dtype, shape, byteLength, bytes: () => tensor.bytes() };
  const strings = tensor.strings?.();
  return strings ? { ...copy, strings: () => strings } : copy;
}
