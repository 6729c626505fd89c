import { companionJson } from '../../src/target/literal.ts';
import type { Artifact } from '../../src/target/target.ts';
import type { Placed } from './place.ts';

function row({ dtype, path, artifact }: Placed): string {
  const bytes = artifact.files.reduce((sum, file) => sum + file.bytes, 0);
  return `| \`${dtype}\` | \`${path}\` | ${artifact.variant} | ${(bytes / 1e6).toFixed(1)} MB |`;
}

/** The class of @huggingface/transformers that opens the folder: for several files the one that config.json names, which knows them. */
function modelClass(artifact: Artifact, parts: readonly string[]): string {
  const config = artifact.companions?.find(({ name }) => name === 'config.json');
  if (parts.length === 1 || !config) return 'AutoModel';
  const said: unknown = companionJson(config.source);
  const { architectures } = (said ?? {}) as { architectures?: unknown };
  const [first] = Array.isArray(architectures) ? (architectures as unknown[]) : [];
  return typeof first === 'string' && /^[A-Za-z]\w*$/.test(first) ? first : 'AutoModel';
}

/** README.md of the folder. */
export function readme(artifact: Artifact, placed: readonly Placed[]): string {
  const parts = [...new Set(placed.map(({ part }) => part))];
  const texts = parts.length === 1 && artifact.companions?.some(({ name }) => name === 'tokenizer.json') === true;
  const name = modelClass(artifact, parts);
  const [only] = parts;
  const file = parts.length === 1 && only !== 'model' ? `, model_file_name: '${only}'` : '';
  const imports = texts ? `${name}, AutoTokenizer, env` : `${name}, env`;
  const open = `const model = await ${name}.from_pretrained('${artifact.name}', { device: 'webgpu', dtype: '${placed.at(-1)?.dtype ?? 'fp32'}'${file} });`;
  const lines = [
    `import { ${imports} } from '@huggingface/transformers';`,
    '',
    'env.allowRemoteModels = false;',
    `env.localModelPath = '/models/'; // this folder is served as /models/${artifact.name}`,
    ...(texts ? [`const tokenizer = await AutoTokenizer.from_pretrained('${artifact.name}');`] : []),
    open,
    ...(texts ? ["const outputs = await model(await tokenizer('…'));"] : []),
  ];
  const several =
    parts.length > 1
      ? `\nThe model is made up of ${parts.map((part) => `\`${part}\``).join(', ')}. Classes of transformers.js open those that they need, each in the dtype asked for
(\`dtype: { ${parts.map((part) => `${part}: '…'`).join(', ')} }\` for different ones); \`model_file_name\` opens one by itself with \`AutoModel\`, where the class of config.json wants another.\n`
      : '';
  return `# ${artifact.name} for transformers.js

A folder as the Hugging Face hub has them: \`config.json\`, what prepares the inputs, and the model in several formats under \`onnx/\`.
Upload it to a repository, or serve it yourself.

\`\`\`js
${lines.join('\n')}
\`\`\`
${several}
| dtype | file | variant | size |
|---|---|---|---|
${placed.map(row).join('\n')}

Without \`dtype\`, \`transformers.js_config\` in \`config.json\` says which of them each device takes. \`npx mlpack check .\` opens every file with
@huggingface/transformers and replays the recorded inputs.
`;
}
