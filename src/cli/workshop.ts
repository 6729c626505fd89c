import { realpathSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { simplify } from '../../passes/simplify/simplify.ts';
import { createSyntheticActivations } from '../engine/activations.ts';
import { createCompute } from '../engine/compute.ts';
import { openSession } from '../engine/session.ts';
import { webFunctionsRun } from '../engine/web-profile.ts';
import type { Model } from '../ir/graph.ts';
import { decodeModel } from '../onnx/decode.ts';
import { encodeModel } from '../onnx/encode.ts';
import { loadModel } from '../onnx/load.ts';
import { saveModel } from '../onnx/save.ts';
import type { Step } from '../pass/pass.ts';
import { runSteps } from '../pass/pipeline.ts';
import type { SaveRequest, Workshop } from '../target/target.ts';
import { fromGolden, goldenProblem } from './golden.ts';
import { otherShapes } from './other-shapes.ts';
import { parseStep } from './steps.ts';

/** What targets may have done to the model in `file` while they emit. `seed` is for passes that make up inputs. */
export function createWorkshop(file: string, seed: number, signal: AbortSignal): Workshop {
  const apply = async (model: Model, steps: readonly Step[]): Promise<Model> => {
    await runSteps(model, steps, {
      context: {
        compute: createCompute(),
        activations: undefined,
        madeUpActivations: createSyntheticActivations({ seed }),
        signal,
        seed,
      },
    });
    return model;
  };
  return {
    async fixed(shapes) {
      const inputShape = [...shapes]
        .filter(([, shape]) => shape.length > 0)
        .map(([name, shape]) => `${name}=${shape.join('x')}`);
      return apply(await loadModel(file), [simplify({ inputShape })]);
    },
    async derived(steps, of) {
      return apply(of ?? (await loadModel(file)), steps.flatMap(parseStep));
    },
    encoded: async (of) => encodeModel(of),
    saved: (request, of) => savedByRuntime(file, request, of),
    async problem(bytes, extra, cases) {
      const session = await openSession(bytes, { extra, label: 'the saved model' });
      try {
        return await goldenProblem(session, cases);
      } finally {
        await session.dispose();
      }
    },
    async webFunctionsRun({ runtime, config, inputs, cases }) {
      const feeds = cases.map((one) => new Map(one.inputs.map((input) => [input.name, fromGolden(input)])));
      const [first] = feeds;
      const others = first ? otherShapes(inputs, first) : [];
      const model = { file, extra: config, feeds, others };
      return webFunctionsRun(runtime, [model], signal);
    },
    async savedGraph(request, of) {
      const bytes = await savedByRuntime(file, { ...request, format: 'onnx' }, of);
      // What keeps its weights in another file still names it: that one lies beside the model, not in the folder of the run.
      const folders = { dir: dirname(resolve(file)), alsoInside: dirname(realpathSync(file)) };
      return decodeModel(bytes, of ? {} : folders);
    },
  };
}

/** Opens a session, which optimizes and saves, in a folder of its own. */
async function savedByRuntime(file: string, request: SaveRequest, of: Model | undefined): Promise<Uint8Array> {
  const dir = await mkdtemp(join(tmpdir(), 'mlpack-workshop-'));
  try {
    const source = of ? join(dir, 'source.onnx') : file;
    if (of) await saveModel(of, source);
    const out = join(dir, `model.${request.format}`);
    const session = await openSession(source, {
      graphOptimizationLevel: request.level,
      optimizedModelFilePath: out,
      extra: { ...request.config, ...(request.format === 'ort' && { 'session.save_model_format': 'ORT' }) },
      label: 'the model',
    });
    await session.dispose();
    return new Uint8Array(await readFile(out));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
