import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, defineTarget } from '../../src/target/target.ts';
import { ensembleName } from './ensemble.ts';
import { tritonOptions } from './options.ts';
import { preparation } from './prepare.ts';
import { repositoryFiles, tritonNotes, tritonObjections } from './repository.ts';

/** A model repository for NVIDIA Triton Inference Server. */
export const triton = defineTarget({
  id: 'triton',
  summary: 'model repository for NVIDIA Triton: config.pbtxt with batching, warm-up by recorded inputs',
  options: tritonOptions,
  providers: ['cpu'],
  runtime: { package: 'onnxruntime', version: ortVersion },
  loadedBy: ({ ort }) => ort,
  supports(artifact, options) {
    const because = [...runtimeObjections(artifact, options.ort), ...tritonObjections(artifact, options)];
    return because.length > 0 ? { ok: false, because } : { ok: true, because: tritonNotes(artifact) };
  },
  async *emit(artifact, options) {
    yield* repositoryFiles(artifact, options, 'repository');
    yield { path: 'README.md', bytes: readme(artifact, options.ensemble) };
  },
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});

/** How inputs are prepared: by the ensemble, or by whom else and why. */
function preparing(artifact: Artifact, ensemble: boolean): string {
  const known = preparation(artifact);
  if (typeof known === 'string') return `There is no ensemble: ${known}.`;
  if (!ensemble) return 'There is no ensemble, since ensemble=false.';
  const [height, width, channels] = known.pixels;
  const order = channels === 3 ? 'red, green, blue' : 'grey';
  return `\`${ensembleName(artifact)}\` is an ensemble: \`pixels\` (UINT8, [${height}, ${width}, ${channels}], ${order}) in, the model's outputs out; a small model before it scales and orders them as dataset.json says. Pictures come decoded and
in that size, since ONNX Runtime's CPU has no operator that decodes them, nor one that shrinks them as the data was prepared. Scores become classes by Triton itself (\`class_count\`).`;
}

function readme(artifact: Artifact, ensemble: boolean): string {
  const { name } = artifact;
  return `# ${name}: Triton model repository

\`\`\`sh
docker run --rm -p 8000:8000 -p 8001:8001 -p 8002:8002 -v "$PWD/repository:/models:ro" \\
  nvcr.io/nvidia/tritonserver:26.09-py3 tritonserver --model-repository=/models --strict-readiness=true
curl -fsS localhost:8000/v2/models/${name}/ready && curl -s localhost:8000/v2/models/${name}
\`\`\`

\`repository/${name}/config.pbtxt\` says how requests are batched and on how many instances they run. A version is ready when it has answered
\`warmup/\`, which is a recorded input. New version: put it into \`repository/${name}/2/\`; the two latest are served.

${preparing(artifact, ensemble)}

\`npx mlpack check .\` verifies every file and replays the recorded cases through the model on ONNX Runtime. It does not start Triton.
`;
}
