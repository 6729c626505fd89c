import type { Model, Node } from '../../src/ir/graph.ts';
import { inferShapes } from '../../src/ir/infer/infer.ts';
import { isKept } from '../../src/rewrite/keep.ts';
import type { ChainSite } from './chain.ts';
import { type Layer, readLayer } from './layer.ts';

/**
 * What is read of a model to find the chains in it: layers, each once, so that two chains through one layer change the same weights, and the
 * shapes of values as inferred.
 * @param keep names of layers, or operators, that are not to be read
 */
export function chainReading(
  model: Model,
  keep: readonly string[],
): { readonly read: (node: Node) => Layer | string; readonly site: ChainSite } {
  const layers = new Map<Node, Layer | string>();
  const { types } = inferShapes(model, { write: false });
  return {
    read(node) {
      const known = layers.get(node);
      if (known) return known;
      const layer = isKept(node, keep) ? 'you asked for it to stay as it is (--keep)' : readLayer(node);
      layers.set(node, layer);
      return layer;
    },
    site: {
      opset: model.opset,
      shapeOf(value) {
        const type = types.get(value);
        return type?.kind === 'tensor' ? type.shape : value.shape;
      },
    },
  };
}
