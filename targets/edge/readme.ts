import type { Artifact } from '../../src/target/target.ts';
import { packageFolder } from './ort-package.ts';

function signature(values: Artifact['inputs']): string {
  return values
    .map(({ name, dtype, shape }) => `\`${name}\` (${dtype}, [${shape?.map((dim) => dim ?? '?').join(', ') ?? 'any'}])`)
    .join(', ');
}

/** README.md of the Node bundle. */
export function readme(artifact: Artifact): string {
  const { name, inputs, outputs } = artifact;
  const [first] = inputs;
  return `# ${name}: edge device

\`\`\`sh
npm ci --omit=dev              # installs ONNX Runtime and drops the binaries of other systems: 46 MB instead of 288 on linux x64, 26 MB on arm64
node run.mjs selftest          # ${artifact.golden.length} recorded inputs: right answers, median time, peak memory; exit code 1 when they differ
echo '{"${first?.name ?? 'x'}": …}' | node run.mjs predict -
node run.mjs serve             # http://127.0.0.1:8080/v2/models/${name}/infer
\`\`\`

Inputs: ${signature(inputs)}. Outputs: ${signature(outputs)}.

| command | |
|---|---|
| \`predict <file…>\` | \`.json\`, \`.jsonl\`, \`.npy\` (type of the input, C order), \`.bin\` (raw elements of one sample); prints a line of JSON for each |
| \`predict -\` | JSON Lines from stdin; a line that cannot be used is answered with \`{"error": …}\` |
| \`serve\` | Open Inference Protocol v2 on loopback: \`HOST\`, \`PORT\`, \`BODY_LIMIT_BYTES\` (16 MiB), \`MAX_WAITING\` (32) |
| \`watch <dir>\` | a folder as a queue: \`in/\` → \`out/\`, then \`done/\` or \`failed/\`; rename files into \`in/\` when they are whole |
| \`unit\` | a hardened systemd unit for this folder, \`MemoryMax\` from what the model takes here |

A value is nested as its shape; the first dimension may be left out where it varies, and a flat list fills one sample. \`THREADS\` limits the cores that a run takes.

## As a service

\`\`\`sh
node run.mjs unit > /etc/systemd/system/${name}.service
systemd-analyze verify /etc/systemd/system/${name}.service
systemctl enable --now ${name}
\`\`\`

The unit runs as a user of its own without capabilities, with everything read-only. The bundle must lie where that user can read it (\`/opt\`, not a home folder with mode 700).

## Other languages and hardware

- \`runners/python/run.py\` and \`runners/cpp/main.cpp\`: the least that loads the model and replays the recorded inputs.
- \`${packageFolder(artifact)}\`: a model package of ONNX Runtime (1.28 and later, C and C++): \`OrtModelPackageApi\` picks the variant for the execution provider. It also holds the one copy of the model.
- \`ACCELERATORS.md\`: TensorRT on Jetson, OpenVINO.
`;
}
