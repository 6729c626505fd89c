import type { Model } from '../ir/graph.ts';
import type { Trace } from './driver.ts';

/** From this IR version on an initializer need not be listed as a graph input. */
const freeInitializers = 4;

/**
 * Before IR version 4 every initializer had to be a graph input too, though runtimes held it constant. Such inputs are
 * dropped and the version raised: what callers feed stays, in the same order.
 */
export function modernizeInputs(model: Model, trace: Trace): boolean {
  if (model.irVersion >= freeInitializers) return false;
  for (const graph of model.graphs()) {
    for (const value of graph.inputs.filter((input) => input.initializer !== undefined)) {
      graph.removeInput(value);
      trace.applied('constant-input', value.name);
    }
  }
  trace.applied('ir-version', `IR ${model.irVersion}`, `IR ${freeInitializers}`);
  model.irVersion = freeInitializers;
  return true;
}
