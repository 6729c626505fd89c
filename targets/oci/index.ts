import type { ArchiveEntry } from '../../src/target/archive.ts';
import { firstRelease } from '../../src/target/release.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, type BundleFile, defineTarget } from '../../src/target/target.ts';
import { tritonOptions } from '../triton/options.ts';
import { repositoryFiles, tritonNotes, tritonObjections } from '../triton/repository.ts';
import { modelImage } from './image.ts';
import { Layout, layerOf } from './layout.ts';
import { modelPack } from './modelpack.ts';

/** A file of the repository on its way into a layer. What it copies is a file of the model. */
function entryOf(file: BundleFile, { files }: Artifact): ArchiveEntry {
  if ('bytes' in file) return { path: file.path, bytes: file.bytes };
  const copied = 'from' in file ? files.find(({ source }) => source === file.from) : undefined;
  if (!copied) throw new Error(`${file.path} is no file of the model`);
  return { path: file.path, from: copied.source, size: copied.bytes };
}

/** The model as what registries carry: a ModelPack artifact and an image with `/models`, in one OCI layout that shares their layers. */
export const oci = defineTarget({
  id: 'oci',
  summary:
    'OCI layout for registries: ModelPack artifact (CNCF) and an image with /models for KServe and image volumes',
  options: tritonOptions,
  providers: ['cpu'],
  runtime: { package: 'onnxruntime-node', version: ortVersion },
  loadedBy: ({ ort }) => ort,
  supports(artifact, options) {
    const because = [...runtimeObjections(artifact, options.ort), ...tritonObjections(artifact, options)];
    return because.length > 0 ? { ok: false, because } : { ok: true, because: tritonNotes(artifact) };
  },
  async *emit(artifact, options) {
    const files: BundleFile[] = [];
    for await (const file of repositoryFiles(artifact, options, 'models')) files.push(file);
    files.sort((a, b) => (a.path < b.path ? -1 : 1));
    yield* files;
    // One file a layer: another config leaves the layer of the weights as it was, in the registry and on the nodes.
    const layers = [];
    for (const file of files) layers.push(await layerOf([entryOf(file, artifact)]));
    const layout = new Layout('oci');
    const image = modelImage(artifact, layers, layout);
    yield* layout.files({ image, modelpack: modelPack(artifact, layers, layout) });
    yield { path: 'README.md', bytes: readme(artifact) };
  },
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});

function readme({ name, release = firstRelease }: Artifact): string {
  const { version } = release;
  return `# ${name}: for registries

\`oci/\` is an OCI image layout with two names; it needs no container engine, and no Dockerfile. \`models/\` is what is in it, a Triton model repository.

\`\`\`sh
skopeo copy --multi-arch all oci:oci:image docker://registry.example/models/${name.toLowerCase()}:${version}       # an image that holds /models
skopeo copy oci:oci:modelpack docker://registry.example/models/${name.toLowerCase()}:${version}-modelpack         # CNCF ModelPack artifact
\`\`\`

**KServe**: \`storageUri: oci+native://registry.example/models/${name.toLowerCase()}:${version}\` where the cluster mounts image volumes, else \`oci+fetch://…\`. Plain \`oci://\` runs a shell of the image, which
holds nothing but the model: for that build the Dockerfile of \`--target kserve\`, which has the InferenceService, too. **Kubernetes** from 1.33 mounts it as a volume:

\`\`\`yaml
volumes:
  - name: models
    image: { reference: "registry.example/models/${name.toLowerCase()}:${version}", pullPolicy: IfNotPresent }
containers:
  - name: server
    volumeMounts: [{ name: models, mountPath: /models, subPath: models, readOnly: true }]
\`\`\`

\`npx mlpack check .\` verifies every file and replays the recorded cases through the model on ONNX Runtime. It contacts no registry.
`;
}
