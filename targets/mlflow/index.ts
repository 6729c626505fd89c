import { stringify } from 'yaml';
import type { IoInfo } from '../../src/report/report.ts';
import { programsCommand } from '../../src/target/replay-programs.ts';
import { ortVersion, runtimeObjections } from '../../src/target/runtime.ts';
import { type Artifact, defineTarget } from '../../src/target/target.ts';

/** Reads up to opset 28 and IR 14, more than ONNX Runtime: `load_model` has onnx check the file, and an onnx older than the model's opset refuses it. */
const onnxVersion = '1.23.1';

/** ONNX element type → numpy's name in a signature. */
const numpyTypes: Readonly<Record<string, string>> = { bool: 'bool', string: 'str' };

function tensorSpec({ name, dtype, shape }: IoInfo): object {
  const dims = (shape ?? [null]).map((dim) => (typeof dim === 'number' ? dim : -1));
  return { name, type: 'tensor', 'tensor-spec': { dtype: numpyTypes[dtype] ?? dtype, shape: dims } };
}

/** `MLmodel`: the ONNX flavour, and pyfunc on top of it, as `mlflow.onnx.save_model` writes them. */
function mlmodel(artifact: Artifact): object {
  const environment = { conda: 'conda.yaml', virtualenv: 'python_env.yaml' };
  return {
    artifact_path: artifact.name,
    flavors: {
      onnx: {
        code: null,
        data: 'model.onnx',
        onnx_session_options: null,
        onnx_version: onnxVersion,
        providers: ['CPUExecutionProvider'],
      },
      python_function: { data: 'model.onnx', env: environment, loader_module: 'mlflow.onnx', python_version: '3.11.9' },
    },
    model_size_bytes: artifact.files.reduce((sum, { bytes }) => sum + bytes, 0),
    metadata: { variant: artifact.variant, sha256: artifact.files[0]?.sha256, tool: 'mlpack' },
    signature: {
      inputs: JSON.stringify(artifact.inputs.map(tensorSpec)),
      outputs: JSON.stringify(artifact.outputs.map(tensorSpec)),
    },
  };
}

const requirements = ['mlflow', `onnx==${onnxVersion}`, `onnxruntime==${ortVersion}`, 'numpy'];

/** A model folder for MLflow: `mlflow.onnx.load_model`, `mlflow models serve`, and whatever takes MLflow models (Azure ML, Databricks). */
export const mlflow = defineTarget({
  id: 'mlflow',
  summary: 'MLflow model folder: ONNX flavour, signature, environments',
  options: {},
  providers: ['cpu'],
  runtime: { package: 'onnxruntime', version: ortVersion },
  supports(artifact) {
    const because = runtimeObjections(artifact);
    return { ok: because.length === 0, because };
  },
  *emit(artifact) {
    const conda = {
      channels: ['conda-forge'],
      dependencies: ['python=3.11.9', 'pip', { pip: requirements }],
      name: 'mlflow-env',
    };
    yield { path: 'MLmodel', bytes: stringify(mlmodel(artifact), { lineWidth: 0 }) };
    yield { path: 'conda.yaml', bytes: stringify(conda) };
    yield { path: 'python_env.yaml', bytes: stringify({ python: '3.11.9', dependencies: ['-r requirements.txt'] }) };
    yield { path: 'requirements.txt', bytes: `${requirements.join('\n')}\n` };
    for (const [i, { name, source }] of artifact.files.entries()) {
      yield { path: name, from: source, ...(i === 0 && { program: { format: 'onnx' } }) };
    }
    yield { path: 'README.md', bytes: readme(artifact.name) };
  },
  commands: () => ({ start: programsCommand, kind: 'programs' }),
});

function readme(name: string): string {
  return `# ${name}: MLflow model

\`\`\`sh
mlflow models serve --model-uri . --port 5000 --env-manager virtualenv
python -c "import mlflow; print(mlflow.register_model('file://$PWD', '${name}'))"
\`\`\`

MLflow's pyfunc hands float64 inputs over as float32. \`npx mlpack check .\` verifies every file and replays the recorded cases through the model on
ONNX Runtime. It does not start MLflow.
`;
}
