import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { configNames } from '../config/load.ts';
import { UserError } from '../errors.ts';
import type { Session } from './command.ts';
import { hubName } from './hub.ts';
import { writeAtomically } from './write.ts';

const file = 'mlpack.config.mjs';

/** The work of `mlpack init`. @throws UserError when there is a config already */
export async function initCommand(
  model: string | undefined,
  flags: { readonly force?: boolean },
  session: Session,
): Promise<void> {
  const { io, talk } = session;
  const other = configNames.find((name) => name !== file && existsSync(join(io.cwd, name)));
  if (other !== undefined)
    throw new UserError('config.exists', `there is a config already, "${other}"; two would contradict each other.`);
  if (existsSync(join(io.cwd, file)) && !flags.force)
    throw new UserError('config.exists', `"${file}" exists; change it, or replace it with --force.`);
  if (model !== undefined && hubName(model) === undefined && !existsSync(resolve(io.cwd, model)))
    talk.warn(`there is no model at "${model}" yet; the config names it all the same.`);
  await writeAtomically(join(io.cwd, file), template(model), true);
  if (session.json) talk.json({ ok: true, file });
  else talk.out(`wrote ${file}; now: mlpack optimize${model === undefined ? ' model.onnx' : ''}`);
}

/** What stands behind `// ` is an example; without it, it is valid. Paths are relative to the file. */
export function template(model: string | undefined): string {
  return `// What \`mlpack optimize\` and \`mlpack gate\` work with here. A flag on the command line goes before what is set here.
// Take the // away in front of what you want to set.

/** @type {import('mlpack').Config} */
export default {
  // The model: an .onnx file, a folder in the Hugging Face layout, or a hub id.
  ${model === undefined ? "// model: 'model.onnx'," : `model: ${quoted(model)},`}

  // Where the variants, bundles and reports go.
  // out: 'build/mlpack',

  // Labelled data to judge by (docs/datasets.md). Without it nothing is said about accuracy.
  // data: { path: 'eval/', samples: 512 },

  // Own variants, as lists of passes. Where none is named, those are built that make sense for the targets.
  // variants: {
  //   fp16: ['simplify', 'fuse', 'to-fp16'],
  //   int4: ['simplify', 'fuse', { pass: 'quantize-weights', bits: 4 }],
  // },

  // What to bundle for; \`from\` names a variant, 'auto' is the recommended one.
  // targets: { server: { from: 'auto' }, browser: {} },

  // Where to measure: cpu, cuda, webgpu, web-wasm, web-webgpu. \`mlpack doctor\` says which work here.
  // providers: ['cpu'],

  // Largest drop of the task metric against the model as it came. 0.01 is one point of top1.
  // maxDrop: 0.01,

  // Seed of everything random, and seconds to measure each variant.
  // seed: 0,
  // seconds: 2,

  // Symbolic dimensions in measurements.
  // inputShape: ['batch=1'],

  // What \`mlpack gate report.json\` asks, for CI (docs/ci.md). A share such as '80%' is one of base, or of a stored baseline.
  // gate: {
  //   accuracy: { maxDrop: 0.01, on: 'bound' },
  //   'accuracy.classes': { maxDrop: 0.05, minSamples: 20 },
  //   agreement: { min: 0.98 },
  //   'agreement.web-webgpu': { min: 0.99, level: 'warn' },
  //   size: { max: '60%', of: 'base' },
  //   compressed: { max: '105%', of: 'baseline' },
  //   'latency.p50': { max: '100%', of: 'base', level: 'warn' },
  //   'audit.leftoverQdq': { max: 0, level: 'warn' },
  //   fused: { minShare: 0.9, level: 'warn' },
  // },
};
`;
}

/** A string literal of JavaScript; JSON's is one, quotes apart. */
const quoted = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
