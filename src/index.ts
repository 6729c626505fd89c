/**
 * The public API: what a script, a config or a package with passes and targets of its own needs. No logic here.
 * ONNX Runtime is loaded when a session is opened, not before.
 */
export { type Config, defineConfig } from './config/config.ts';
export { openDataset } from './data/open-dataset.ts';
export { auditModel } from './engine/audit.ts';
export { bench } from './engine/bench.ts';
export { compare } from './engine/compare.ts';
export { compareLayers } from './engine/compare-layers.ts';
export { createCompute } from './engine/compute.ts';
export { evaluate } from './engine/evaluate.ts';
export { syntheticFeeds } from './engine/feeds.ts';
export { openModel } from './engine/open-model.ts';
export { openSession, type Session, type SessionOptions } from './engine/session.ts';
export { GateError, UserError } from './errors.ts';
export { cloneModel } from './ir/clone.ts';
export { constantOf } from './ir/constant.ts';
export type { DType } from './ir/dtype.ts';
export { Graph, Model, type Node, type Value } from './ir/graph.ts';
export { inferShapes } from './ir/infer/infer.ts';
export { modelStats } from './ir/stats.ts';
export { computedTensor, type Tensor, tensorFrom, tensorFromBytes, tensorOf } from './ir/tensor.ts';
export { parseModel } from './ir/text/parse.ts';
export { printModel } from './ir/text/print.ts';
export { tensorType, type ValueType } from './ir/types.ts';
export { verify } from './ir/verify.ts';
export { decodeModel } from './onnx/decode.ts';
export { encodeModel } from './onnx/encode.ts';
export { loadModel } from './onnx/load.ts';
export { saveModel } from './onnx/save.ts';
export { type OptionTable, type OptionValues, opt } from './pass/options.ts';
export {
  definePass,
  exact,
  lossy,
  type Numerics,
  type Pass,
  type PassContext,
  type PassResult,
  reordered,
  type Step,
} from './pass/pass.ts';
export { runSteps } from './pass/pipeline.ts';
export { type GateResult, gate } from './report/gate/gate.ts';
export type { GateRules } from './report/gate/rules.ts';
export { parseReport } from './report/parse.ts';
export type * from './report/report.ts';
export { buildBundle } from './target/bundle.ts';
export { checkBundle } from './target/check.ts';
export { type Artifact, type BundleFile, defineTarget, type Target } from './target/target.ts';
