import { literalPath, literalText } from '../../src/target/literal.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { kubernetesName } from '../server/deploy.ts';
import { dockerfileOf } from '../server/dockerfile.ts';
import { exampleRow } from '../server/example.ts';
import { mixingNotes } from '../server/mixing.ts';

/** Bundle path → literal file of this target. */
const own: Readonly<Record<string, string>> = {
  'run-batch.mjs': 'run-batch.mjs',
  'batch/job.mjs': 'batch/job.mjs',
  'batch/kept.mjs': 'batch/kept.mjs',
  'batch/lines.mjs': 'batch/lines.mjs',
  'batch/mapping.mjs': 'batch/mapping.mjs',
  'batch/open.mjs': 'batch/open.mjs',
  'batch/parts.mjs': 'batch/parts.mjs',
  'batch/plan.mjs': 'batch/plan.mjs',
  'batch/predict.mjs': 'batch/predict.mjs',
  'batch/problem.mjs': 'batch/problem.mjs',
  'batch/tables.mjs': 'batch/tables.mjs',
  'batch/utf8.mjs': 'batch/utf8.mjs',
  'package.json': 'package.json',
  'package-lock.json': 'package-lock.json',
  '.npmrc': 'dot-npmrc',
  '.dockerignore': 'dot-dockerignore',
};

/** Parts of the server that run models here too. */
export const sharedParts = [
  'arrivals',
  'bundle',
  'cpu',
  'datatypes',
  'errors',
  'half',
  'manifest',
  'model',
  'place',
  'pool',
  'rows',
  'session',
  'warm-up',
  'worker',
] as const;

const deploy = ['job.yaml', 'argo-workflow.yaml', 'spark_batch.py', 'ray_batch.py'];

function* emit(artifact: Artifact): Iterable<BundleFile> {
  for (const [path, name] of Object.entries(own)) yield { path, from: literalPath('batch', name) };
  yield { path: 'Dockerfile', bytes: dockerfileOf('batch') };
  for (const name of sharedParts) yield { path: `lib/${name}.mjs`, from: literalPath('server', `lib/${name}.mjs`) };
  const name = kubernetesName(artifact.name);
  for (const file of deploy) {
    const text = literalText('batch', `deploy/${file}`)
      .replaceAll('__NAME__', name)
      .replaceAll('__IMAGE__', `${name}-batch`);
    yield { path: `deploy/${file}`, bytes: text };
  }
  for (const file of artifact.files) yield { path: `model/${file.name}`, from: file.source };
  const example = exampleRow(artifact);
  if (example !== undefined) yield { path: 'row.jsonl', bytes: example };
  yield { path: 'README.md', bytes: readme(artifact) };
}

/** Predictions for whole tables. */
export const batch = defineTarget({
  id: 'batch',
  summary:
    'predictions for tables (Parquet, CSV, JSON Lines): resumable, sharded, with Kubernetes Job, Argo, Spark and Ray',
  options: {},
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  supports(artifact) {
    const because = runtimeObjections(artifact);
    return because.length > 0 ? { ok: false, because } : { ok: true, because: mixingNotes(artifact) };
  },
  emit,
  commands: () => ({ install: 'npm ci --omit=dev', start: 'node run-batch.mjs -', kind: 'lines' }),
});

function readme({ name, inputs, outputs }: Artifact): string {
  const list = (values: Artifact['inputs']): string =>
    values
      .map(
        ({ name: one, dtype, shape }) =>
          `\`${one}\` (${dtype}, [${shape?.map((dim) => dim ?? '?').join(', ') ?? 'any'}])`,
      )
      .join(', ');
  return `# ${name}: predictions for tables

\`\`\`sh
npm ci --omit=dev
node run-batch.mjs row.jsonl --out predictions --format csv     # files of .parquet, .csv, .tsv, .jsonl
node run-batch.mjs - < row.jsonl                                # JSON Lines in, JSON Lines out
\`\`\`

Inputs: ${list(inputs)}. Outputs: ${list(outputs)}.

A row is one sample. The column named like an input feeds it: a number, or a list with the elements of the row, nested or flat. A table that has exactly as many columns as the
one input has elements needs no names; else say which: \`--columns ${inputs[0]?.name ?? 'x'}=a,b,c\`. Text cells of a CSV are read as numbers.
Text is UTF-8: rows that hold other bytes are put aside.

| flag | default | |
|---|---|---|
| \`--out\`, \`-o\` | predictions | folder of the parts |
| \`--format\` | parquet | parquet, csv or jsonl. Lists become one column for each element: \`${outputs[0]?.name ?? 'y'}.0\`, … |
| \`--columns\` | by name | \`input=column,column\`; once for each input |
| \`--keep\` | | columns that go over to the output, such as an id. \`row\` is always there: the number of the row in its file |
| \`--shard\` | 0/1, in an Indexed Job \`$JOB_COMPLETION_INDEX/$SHARDS\` | this worker's share of the pieces |
| \`--batch\` | measured | rows in one run; one where rows would change each other's answers |
| \`--max-errors\` | none | ends with 1 when more rows than this cannot be used |
| \`--restart\` | | begins anew where the folder holds other work |

A piece is a row group of Parquet or 8192 rows. Each becomes \`part-<file>-<piece>.<format>\`, whole or not at all (written beside, synced, renamed), with
\`.errors.jsonl\` where rows could not be used, and \`.done\` last. Start it again after a crash: what is done stays, the rest comes out as it
would have without the crash, byte for byte. A file that is changed meanwhile ends the job with 1: its parts would be of two tables. \`_SUCCESS\` (\`_SUCCESS-<shard>\`) at the end holds the counts.

## More than one machine

**Kubernetes**, four workers as an Indexed Job. The volume claim \`${kubernetesName(name)}-data\` holds \`in/input.parquet\`, and takes the parts in \`out/\`:

\`\`\`sh
docker build -t ${kubernetesName(name)}-batch:1 . && docker push ${kubernetesName(name)}-batch:1     # image: in both files, with your registry in front
kubectl apply -f deploy/job.yaml
kubectl wait --for=condition=complete job/${kubernetesName(name)}-batch --timeout=1h
argo submit --watch deploy/argo-workflow.yaml                   # the same as an Argo workflow
\`\`\`

**Spark** and **Ray**: one process of this program for each partition or block, over its JSON Lines. Node.js has to be on the workers.

\`\`\`sh
npm ci --omit=dev && zip -qr ../bundle.zip .
spark-submit --archives ../bundle.zip#bundle deploy/spark_batch.py in.parquet out
python deploy/ray_batch.py in.parquet out                       # pip install "ray[data]"
\`\`\`
`;
}
