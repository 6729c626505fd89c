import type { Value } from '../ir/graph.ts';

/** Takes a constant out that nothing reads any more; below IR version 4, where initializers stand among the inputs too, from there as well. */
export function releaseConstant(value: Value | undefined): void {
  if (!value || value.isUsed) return;
  const { graph } = value;
  if (value.producer) graph.removeWithUnused(value.producer);
  else if (value.initializer) {
    if (value.isGraphInput && (graph.model?.irVersion ?? 4) < 4) graph.removeInput(value);
    if (!value.isGraphInput) graph.removeInitializer(value);
  }
}
