import { literalPath } from '../../src/target/literal.ts';
import { runtimeObjections } from '../../src/target/runtime.ts';
import type { Artifact, BundleFile, Support } from '../../src/target/target.ts';
import { exampleRequest } from '../server/example.ts';

/** Parts of the server that every function takes. */
const serverParts = ['bundle', 'datatypes', 'errors', 'half', 'manifest', 'model', 'request', 'response'];

/** Weights twice (as loaded, as packed for the kernels), and 400 MB for Node.js, the runtime and requests. */
export function megabytesOf({ files }: Artifact): number {
  return 400 + (2 * files.reduce((sum, { bytes }) => sum + bytes, 0)) / 2 ** 20;
}

/** What a model can do as a function anywhere, with the target's own notes on its size. */
export function functionSupport(artifact: Artifact, notes: readonly string[]): Support {
  const because = runtimeObjections(artifact);
  return because.length > 0 ? { ok: false, because } : { ok: true, because: notes };
}

/**
 * A bundle of one function: the target's literal files (bundle path → file), what functions share, the model, a request and the README.
 * @param more parts of the server beyond those that all take
 */
export function* functionFiles(
  artifact: Artifact,
  target: 'lambda' | 'functions',
  own: Readonly<Record<string, string>>,
  { more = [], readme }: { readonly more?: readonly string[]; readonly readme: string },
): Iterable<BundleFile> {
  for (const [path, name] of Object.entries(own)) yield { path, from: literalPath(target, name) };
  yield { path: 'cold-start.mjs', from: literalPath('functions', 'cold-start.mjs') };
  yield { path: 'lib/function.mjs', from: literalPath('lambda', 'lib/function.mjs') };
  for (const name of [...serverParts, ...more])
    yield { path: `lib/${name}.mjs`, from: literalPath('server', `lib/${name}.mjs`) };
  for (const { name, source } of artifact.files) yield { path: `model/${name}`, from: source };
  const example = exampleRequest(artifact);
  if (example !== undefined) yield { path: 'request.json', bytes: example };
  yield { path: 'README.md', bytes: readme };
}
