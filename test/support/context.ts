import { createSyntheticActivations } from '../../src/engine/activations.ts';
import { createCompute } from '../../src/engine/compute.ts';
import type { PassContext } from '../../src/pass/pass.ts';
import { Recorder } from '../../src/pass/recorder.ts';

/** A pass context for tests: computes through ONNX Runtime, collects the trace, has no activation data. */
export class TestContext extends Recorder implements PassContext {
  readonly compute = createCompute();
  readonly activations = undefined;
  readonly madeUpActivations = createSyntheticActivations({ seed: 1 });
  readonly signal = new AbortController().signal;
  readonly seed = 1;
  readonly explain: boolean;

  constructor(options: { explain?: boolean } = {}) {
    super();
    this.explain = options.explain ?? false;
  }
}
