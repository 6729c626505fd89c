import { UserError } from '../../src/errors.ts';
import type { Model } from '../../src/ir/graph.ts';
import { type OptionValues, opt } from '../../src/pass/options.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import {
  type Artifact,
  type BundleFile,
  defineTarget,
  type GoldenCase,
  type Program,
  type Support,
  type Workshop,
} from '../../src/target/target.ts';
import { isObject } from '../browser/json.ts';
import { imageTask } from '../browser/task-image.ts';
import { androidFiles } from './android.ts';
import { chooseFor, configFor, type PlatformChoice } from './choice.ts';
import { type Converted, convertToOrt } from './convert.ts';
import { iosFiles } from './ios.ts';
import { type Precision, precisionOf } from './providers.ts';
import { reactNativeFiles } from './react-native.ts';
import { readme } from './readme.ts';
import { type Candidate, usability } from './usability.ts';

const options = {
  platform: opt.choice(
    ['arm', 'amd64', 'any'],
    'arm',
    'processors to convert for, as the converter’s --target_platform; any is its default',
  ),
  static: opt.boolean(
    true,
    'also a file with all dimensions fixed at the shapes of the first golden case, where some vary',
  ),
  fp16: opt.boolean(false, 'also a file in 16-bit floats, for CoreML'),
  apps: opt.boolean(true, 'Android, iOS and React Native modules'),
};

type Options = OptionValues<typeof options>;

/** A FlatBuffer is addressed by 31 bits. */
const maxBytes = 2 ** 31 - 1;

function supports(artifact: Artifact): Support {
  const objections = runtimeObjections(artifact);
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > maxBytes) {
    objections.push(
      `The model has ${(bytes / 1e9).toFixed(1)} GB; an ORT-format file holds at most 2 GB: quantize it first.`,
    );
  }
  if (objections.length > 0) return { ok: false, because: objections };
  const notes = ['The verdicts in usability.json are estimates from operator tables; nothing was run on a device.'];
  if (artifact.golden.length === 0)
    notes.push('There are no golden cases, so there is no file of fixed shapes and no device test.');
  return { ok: true, because: notes };
}

/** One conversion: where its files go, and which golden cases they take. */
interface Variant {
  readonly folder: string;
  readonly precision: Precision;
  readonly fixedShapes: boolean;
  readonly model: Model | undefined;
  readonly cases: readonly number[] | undefined;
  /** Where it cannot keep that of the golden cases. */
  readonly tolerance?: Program['tolerance'];
}

function casesOf({ cases }: Variant, { golden }: Artifact): GoldenCase[] {
  return golden.filter((_, n) => cases === undefined || cases.includes(n));
}

async function variantsOf(artifact: Artifact, workshop: Workshop, chosen: Options): Promise<Variant[]> {
  const given = precisionOf(artifact);
  const variants: Variant[] = [
    { folder: 'model', precision: given, fixedShapes: !hasDynamic(artifact), model: undefined, cases: undefined },
  ];
  const fixed = chosen.static ? await fixedShapes(artifact, workshop) : undefined;
  if (fixed) variants.push({ folder: 'model/static', precision: given, fixedShapes: true, ...fixed });
  if (chosen.fp16 && given === 'float32') {
    const half = await workshop.derived(['to-fp16'], fixed?.model && (await fixedShapes(artifact, workshop))?.model);
    variants.push({
      folder: 'model/fp16',
      precision: 'float16',
      fixedShapes: fixed !== undefined || !hasDynamic(artifact),
      model: half,
      cases: fixed?.cases,
      tolerance: { rtol: 1e-2, atol: 1e-6 },
    });
  }
  return variants;
}

function hasDynamic(artifact: Artifact): boolean {
  return artifact.inputs.some(({ shape }) => shape === null || shape.some((dim) => typeof dim !== 'number'));
}

/** The model with every dimension of its inputs as in the first golden case, and the cases of just these shapes. */
async function fixedShapes(
  artifact: Artifact,
  workshop: Workshop,
): Promise<{ model: Model; cases: number[] } | undefined> {
  const [first] = artifact.golden;
  if (!first || !hasDynamic(artifact)) return undefined;
  const shapes = new Map(first.inputs.map(({ name, shape }) => [name, shape]));
  const same = artifact.golden.map(({ inputs }) =>
    inputs.every(({ name, shape }) => shape.join() === shapes.get(name)?.join()),
  );
  const cases = [...same.keys()].filter((n) => same[n]);
  return { model: await workshop.fixed(shapes), cases };
}

interface Built extends Variant, Converted {}

async function* emit(artifact: Artifact, chosen: Options): AsyncIterable<BundleFile> {
  const { workshop } = artifact;
  if (!workshop)
    throw new UserError(
      'target-workshop',
      'The mobile target needs ONNX Runtime to convert the model; bundle it with the mlpack command.',
    );
  for (const { name, source } of artifact.files) yield { path: `model/${name}`, from: source };
  const built: Built[] = [];
  const candidates: Candidate[] = [];
  for (const variant of await variantsOf(artifact, workshop, chosen)) {
    const converted = await convertToOrt(workshop, {
      name: 'model',
      platform: chosen.platform,
      cases: variant.tolerance === undefined ? casesOf(variant, artifact) : [],
      of: variant.model,
    });
    built.push({ ...variant, ...converted });
    yield* convertedFiles(variant, converted);
    const graph = await workshop.savedGraph({ level: 'basic', config: {} }, variant.model);
    const { precision, fixedShapes } = variant;
    candidates.push({
      path: `${variant.folder}/model.${converted.runtime ? 'with_runtime_opt.' : ''}ort`,
      precision,
      fixedShapes,
      graph,
    });
  }
  const report = usability(artifact, candidates);
  yield { path: 'usability.json', bytes: `${JSON.stringify(report, null, 1)}\n` };
  const choices = {
    android: chooseFor('android', report, 'model/model.ort'),
    ios: chooseFor('ios', report, 'model/model.ort'),
  };
  const tests = { android: false, ios: false };
  if (chosen.apps) {
    const image = isObject(artifact.preprocessing) ? imageTask(artifact, artifact.preprocessing) : undefined;
    const glue = (choice: PlatformChoice) => ({
      artifact,
      choice,
      // The code that prepares pictures makes floats.
      image: image?.dtype === 'float32' ? image : undefined,
      ...fileOf(built, choice.path, artifact),
    });
    const android = [...androidFiles(glue(choices.android))];
    const ios = [...iosFiles(glue(choices.ios))];
    yield* android;
    yield* ios;
    yield* reactNativeFiles(glue(choices.android));
    tests.android = android.some(({ path }) => path.endsWith('/GoldenTest.kt'));
    tests.ios = ios.some(({ path }) => path.endsWith('/GoldenTests.swift'));
  }
  yield {
    path: 'README.md',
    bytes: readme({ artifact, report, choices, built, apps: chosen.apps, platform: chosen.platform, tests }),
  };
}

function* convertedFiles(variant: Variant, converted: Converted): Iterable<BundleFile> {
  const { folder, cases, tolerance } = variant;
  const base: Program = {
    format: 'ort',
    ...(cases && { cases }),
    ...(tolerance && { tolerance }),
  };
  yield { path: `${folder}/model.ort`, bytes: converted.fixed, program: base };
  if (converted.runtime) {
    const path = `${folder}/model.with_runtime_opt.ort`;
    yield { path, bytes: converted.runtime, program: { ...base, config: configFor(path) } };
  }
  for (const [name, bytes] of Object.entries(converted.configs)) yield { path: `${folder}/model.${name}`, bytes };
}

function fileOf(built: readonly Built[], path: string, artifact: Artifact): { bytes: Uint8Array; cases: number[] } {
  const variant = built.find(({ folder }) => path.startsWith(`${folder}/model.`)) ?? built[0];
  if (!variant) throw new UserError('target-workshop', `The mobile target made no file ${path}.`);
  const bytes = (path.includes('.with_runtime_opt.') && variant.runtime) || variant.fixed;
  return { bytes, cases: [...(variant.cases ?? artifact.golden.keys())] };
}

/** Files for apps: the model in the ORT format, what a reduced build of the runtime needs, and code to load it. */
export const mobile = defineTarget({
  id: 'mobile',
  summary: 'ORT-format files, reduced-build configs, per-provider verdicts, Android, iOS and React Native modules',
  options,
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-android, onnxruntime-swift-package-manager', version: ortVersion },
  supports,
  emit,
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});
