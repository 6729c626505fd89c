import type { Model } from '../ir/graph.ts';
import type { Tensor } from '../ir/tensor.ts';
import { tensorOrigin } from './tensor.ts';

/** Locations of the external data files that a loaded model reads from, relative to its folder, sorted. */
export function externalFiles(model: Model): string[] {
  const locations = new Set<string>();
  const note = (tensor: Tensor | undefined): void => {
    const range = tensor && tensorOrigin(tensor)?.range;
    if (range) locations.add(range.file.location);
  };
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) note(value.initializer);
    for (const node of graph.nodes) {
      for (const attr of node.attrs.values()) {
        if (attr.type === 'tensor') note(attr.value);
        else if (attr.type === 'tensors') attr.value.forEach(note);
      }
    }
  }
  return [...locations].sort();
}
