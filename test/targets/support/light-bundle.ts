import { mkdir } from 'node:fs/promises';
import { buildBundle } from '../../../src/target/bundle.ts';
import { literalPath } from '../../../src/target/literal.ts';
import { ortVersion } from '../../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../../src/target/target.ts';

/** How a version behaves on a device. */
export type Behaviour = 'works' | 'sick' | 'crashes' | 'hangs';

/** A runner without ONNX Runtime: it hashes the model for a self-test and serves the version, so that a thousand updates take minutes. */
const runner = `import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
const manifest = JSON.parse(readFileSync('mlpack.json', 'utf8'));
const { path } = manifest.model.files[0];
const model = createHash('sha256').update(readFileSync(path)).digest('hex');
const behaviour = readFileSync('behaviour', 'utf8');
if (model !== manifest.model.sha256) { process.stderr.write('the model is damaged\\n'); process.exit(1); }
if (process.argv[2] === 'selftest') {
  if (behaviour === 'sick') { process.stderr.write('case 0 differs\\n'); process.exit(1); }
  if (behaviour === 'hangs') setInterval(() => {}, 1000);
  else process.stdout.write('{"ok":true}\\n');
} else if (behaviour === 'crashes' || process.env.TEST_CRASHES === manifest.release.version) process.exit(1);
else {
  const server = createServer((request, response) => {
    if (request.url === '/crash') process.exit(1);
    response.end(request.url === '/version' ? manifest.release.version : '');
  });
  server.listen(Number(process.env.PORT), process.env.HOST);
  process.once('SIGTERM', () => server.close(() => process.exit(0)));
}
`;

/** Writes the artifact as an edge bundle of one version. */
export async function lightBundle(
  artifact: Artifact,
  place: string,
  version: string,
  behaviour: Behaviour = 'works',
): Promise<string> {
  const light = defineTarget({
    id: 'edge',
    summary: 'a light stand-in for the edge target',
    options: {},
    providers: ['cpu'],
    runtime: { package: 'onnxruntime-node', version: ortVersion },
    supports: () => ({ ok: true, because: [] }),
    *emit({ files }): Iterable<BundleFile> {
      yield { path: 'run.mjs', bytes: runner };
      yield { path: 'behaviour', bytes: behaviour };
      yield { path: 'notes/version.txt', bytes: version };
      yield { path: 'large.bin', bytes: Buffer.alloc(300_000, version) };
      yield { path: 'empty.txt', bytes: '' };
      yield { path: 'half.mjs', from: literalPath('server', 'lib/half.mjs') };
      for (const { name, source } of files) yield { path: `model/${name}`, from: source };
    },
    commands: () => ({ start: 'node run.mjs predict -', kind: 'lines' }),
  });
  await mkdir(place, { recursive: true });
  await buildBundle(light, { ...artifact, release: { version, previous: null } }, {}, place);
  return place;
}
