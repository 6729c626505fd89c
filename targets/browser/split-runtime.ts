import { createHash } from 'node:crypto';
import { dependencyBytes, dependencyFile } from '../../src/target/literal.ts';
import { ortVersion } from '../../src/target/runtime.ts';
import type { Artifact } from '../../src/target/target.ts';
import { splitModule } from '../../src/wasm/split.ts';
import { threadFunctions } from './thread-functions.ts';
import type { WayPlan } from './ways.ts';

/** The WebAssembly runtime in two parts, or why it is in one. */
export type RuntimeForm =
  | { readonly first: Uint8Array; readonly rest: Uint8Array; readonly loader: number }
  | { readonly why: string };

const module = 'dist/ort-wasm-simd-threaded.wasm';
const place = (name: string): string => dependencyFile('onnxruntime-web', ortVersion, name).place;

/**
 * Splits the WebAssembly runtime by what the variants that run on it were seen to need. The same every time: on one thread the same functions ran in
 * each of 9 runs beside other work; on two threads one function was missing in 2 of 9, and is among `threadFunctions`.
 */
export async function splitRuntime(artifact: Artifact, { ways, assessments }: WayPlan): Promise<RuntimeForm> {
  const onWasm = new Set(ways.filter(({ provider }) => provider === 'wasm').map(({ variant }) => variant));
  const runtime = {
    script: place('dist/ort.node.min.mjs'),
    mjs: place('dist/ort-wasm-simd-threaded.mjs'),
    wasm: place(module),
  };
  const run = new Set<number>();
  for (const { variant, workshop, inputs, golden } of [artifact, ...(artifact.others ?? [])]) {
    if (!onWasm.has(variant)) continue;
    if (!workshop?.webFunctionsRun) return { why: 'the model could not be run while the bundle was made' };
    const fold = assessments.get(variant)?.foldWeights === true;
    const config: Record<string, string> = fold ? { 'session.disable_quant_qdq': '1' } : {};
    try {
      for (const one of await workshop.webFunctionsRun({ runtime, config, inputs, cases: golden })) run.add(one);
    } catch (error) {
      if (!(error instanceof Error) || error.name === 'AbortError') throw error;
      return { why: `it could not be seen what ${variant} needs of it: ${error.message.split('\n', 1)[0]}` };
    }
  }
  const whole = dependencyBytes('onnxruntime-web', ortVersion, module);
  // For another module they have to be made anew: a test says so. Without them a thread may have to load the rest.
  if (createHash('sha256').update(whole).digest('hex') === threadFunctions.sha256)
    for (const one of threadFunctions.numbers) run.add(one);
  const { primary, rest, loader } = splitModule(whole, (n) => run.has(n));
  return { first: primary, rest, loader };
}
