import type { Artifact } from '../../src/target/target.ts';
import type { Placed } from './place.ts';

function row({ dtype, path, artifact }: Placed): string {
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  return `| \`${dtype}\` | \`${path}\` | ${artifact.variant} | ${(bytes / 1e6).toFixed(1)} MB |`;
}

/** README.md of the folder. */
export function readme(artifact: Artifact, placed: readonly Placed[]): string {
  const texts = artifact.companions?.some(({ name }) => name === 'tokenizer.json') === true;
  const example = texts
    ? `import { AutoModel, AutoTokenizer, env } from '@huggingface/transformers';

env.allowRemoteModels = false;
env.localModelPath = '/models/'; // this folder is served as /models/${artifact.name}
const tokenizer = await AutoTokenizer.from_pretrained('${artifact.name}');
const model = await AutoModel.from_pretrained('${artifact.name}', { device: 'webgpu', dtype: '${placed.at(-1)?.dtype ?? 'fp32'}' });
const outputs = await model(await tokenizer('…'));`
    : `import { AutoModel, env } from '@huggingface/transformers';

env.allowRemoteModels = false;
env.localModelPath = '/models/'; // this folder is served as /models/${artifact.name}
const model = await AutoModel.from_pretrained('${artifact.name}', { device: 'webgpu', dtype: '${placed.at(-1)?.dtype ?? 'fp32'}' });`;
  return `# ${artifact.name} for transformers.js

A folder as the Hugging Face hub has them: \`config.json\`, what prepares the inputs, and the model in several formats under \`onnx/\`.
Upload it to a repository, or serve it yourself.

\`\`\`js
${example}
\`\`\`

| dtype | file | variant | size |
|---|---|---|---|
${placed.map(row).join('\n')}

Without \`dtype\`, \`transformers.js_config\` in \`config.json\` says which of them each device takes. \`npx mlpack check .\` opens every file with
@huggingface/transformers and replays the recorded inputs.
`;
}
