import type { Measured } from '../../src/cli/optimize/measured.ts';

/** A variant that was built, works, loses nothing, and was not timed; `over` says what is otherwise. */
export function measured(name: string, over: Partial<Measured> = {}): Measured {
  return {
    name,
    steps: [],
    file: `variants/${name}/model.onnx`,
    sha256: 'x',
    bytes: 1000,
    compressedBytes: 900,
    parameters: 10,
    nodes: 3,
    ops: {},
    fidelity: { sqnrDb: 60, cosine: 1, maxAbs: 0, samples: 8, agreement: 1 },
    accuracy: { metric: 'top1', value: 0.95, base: 0.95, drop: 0, samples: 500 },
    latency: {},
    sessionMs: 10,
    peakRssBytes: 1e8,
    audit: null,
    blockers: [],
    failures: {},
    ...over,
  };
}
